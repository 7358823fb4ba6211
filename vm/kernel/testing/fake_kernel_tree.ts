// SPDX-License-Identifier: MIT
import { dirname, join } from "@std/path";

/**
 * A stand-in for a kernel source tree that builds in milliseconds, for tests: the same make targets, the same
 * kind of output, real compilation of `checkpoint/*.c`, and a Kconfig that drops CONFIG_NEEDS_MORE.
 */
const MAKEFILE = `VERSION = 6
PATCHLEVEL = 1
SUBLEVEL = 0
objects := $(patsubst %.c,$(O)/%.o,$(wildcard checkpoint/*.c))
vmlinux: $(objects)
	@echo '  LD      vmlinux'
	@$(CC) -nostdlib -r -o $(O)/vmlinux $(objects)
	@mkdir -p $(O)/include/config
	@echo 6.1.0-fake > $(O)/include/config/kernel.release
$(O)/%.o: %.c $(O)/.config
	@mkdir -p $(@D)
	@echo '  CC      $<'
	@$(CC) -c -o $@ $<
tinyconfig:
	@echo 'CONFIG_TINY=y' > $(O)/.config
olddefconfig:
	@sed -i -e '/CONFIG_NEEDS_MORE/d' $(O)/.config
.PHONY: vmlinux tinyconfig olddefconfig
`;

/** Paths of a fake tree and of what is laid over it. */
export interface FakeKernel {
  /** The source tree. */
  source: string;
  overlayDir: string;
  hooksDir: string;
  fragment: string;
  cacheDir: string;
}

/** Makes a fake tree, overlay, hooks and fragment below a directory. */
export async function makeFakeKernel(root: string): Promise<FakeKernel> {
  const fake: FakeKernel = {
    source: join(root, "source"),
    overlayDir: join(root, "overlay"),
    hooksDir: join(root, "hooks"),
    fragment: join(root, "base.config"),
    cacheDir: join(root, "cache"),
  };
  await write(join(fake.source, "Makefile"), MAKEFILE);
  await write(join(fake.source, "kernel/table.h"), "one\ntwo\nthree\n");
  await write(join(fake.source, "kernel/other.h"), "untouched\n");
  await write(
    join(fake.source, "Kconfig"),
    'config NEEDS_MORE\n\tbool "x"\n\tdepends on MORE\n\thelp\n\t  y\n',
  );
  await write(join(fake.overlayDir, "checkpoint/sys.c"), "int checkpoint(void) { return 1; }\n");
  await write(join(fake.overlayDir, "checkpoint/mm.c"), "int write_mm(void) { return 2; }\n");
  await write(join(fake.hooksDir, "6.1.patch"), HOOKS);
  await write(fake.fragment, "CONFIG_A=y\n# CONFIG_B is not set\n");
  return fake;
}

const HOOKS = `--- a/kernel/table.h
+++ b/kernel/table.h
@@ -1,3 +1,4 @@
 one
 two
+checkpoint
 three
`;

async function write(path: string, text: string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeTextFile(path, text);
}
