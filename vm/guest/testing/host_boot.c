// SPDX-License-Identifier: MIT
// The agent as a process of the host, for tests of its commands without a guest.
#include "../agent/agent.h"

#include <asm/signal.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/mount.h>

#include "host_kernel.h"


static int connect_to(const char *path)
{
	struct {
		u16 family;
		char path[108];
	} address = { .family = AF_UNIX };
	long fd = SYS(socket, AF_UNIX, SOCK_STREAM | O_CLOEXEC, 0);

	memcpy(address.path, path, text_length(path));
	long error = SYS(connect, fd, &address, sizeof(address));

	if (error < 0)
		fatal(path, error);
	SYS(fcntl, fd, F_SETFL, O_RDWR | O_NONBLOCK);
	return (int)fd;
}

static void bind_devices(const char *root)
{
	char path[256];

	SYS(mkdir, text_print(path, sizeof(path), "%s/dev", root), 0755);
	long error = SYS(mount, "/dev", path, 0, MS_BIND | MS_REC, 0);

	if (error < 0)
		fatal("bind mount of /dev", error);
}

void boot_on_host(const unsigned long *stack, int *control, int *data)
{
	char **arguments = (char **)(stack + 1);
	const char *root = arguments[3];
	int status = 0;
	long error;

	if (stack[0] != 4)
		fatal("usage: agent CONTROL-SOCKET DATA-SOCKET ROOT", 0);
	*control = connect_to(arguments[1]);
	*data = text_equal(arguments[2], "serial") ? *control : connect_to(arguments[2]);
	error = SYS(unshare, CLONE_NEWNS | CLONE_NEWPID);
	if (error < 0)
		fatal("unshare", error);
	long child = SYS(fork);

	if (child != 0) {
		SYS(close, *control);
		SYS(close, *data);
		SYS(wait4, child, &status, 0, 0);
		SYS(exit_group, status == 0 ? 0 : 1);
	}
	SYS(prctl, PR_SET_PDEATHSIG, SIGKILL);
	SYS(umask, 0);
	SYS(mount, 0, "/", 0, MS_REC | MS_PRIVATE, 0);
	error = SYS(mount, "tmpfs", root, "tmpfs", 0, 0);
	if (error < 0)
		fatal(root, error);
	bind_devices(root);
	error = SYS(chroot, root);
	if (error >= 0)
		error = SYS(chdir, "/");
	if (error < 0)
		fatal("chroot", error);
	boot_mount_writable();
	if (boot_is_told(stack, "CKPTEST_KERNEL=2.6.28"))
		old_kernel_start();
	if (boot_is_told(stack, "CKPTEST_KERNEL=wrong-ldt"))
		wrong_ldt_start();
}
