// SPDX-License-Identifier: MIT

/** What of a processor shows in an image. */
interface CpuFeatures {
  readonly fxsr: boolean;
  readonly xsave: boolean;
  readonly nx: boolean;
}

const OLD: CpuFeatures = { fxsr: false, xsave: false, nx: false };
const FXSR: CpuFeatures = { fxsr: true, xsave: false, nx: false };
const FXSR_NX: CpuFeatures = { fxsr: true, xsave: false, nx: true };
const XSAVE_NX: CpuFeatures = { fxsr: true, xsave: true, nx: true };

/** Models of QEMU 7.2 (target/i386/cpu.c, builtin_x86_defs), by the part before a version or variant. */
const MODELS: Readonly<Record<string, CpuFeatures>> = {
  "486": OLD,
  pentium: OLD,
  pentium2: FXSR,
  pentium3: FXSR,
  athlon: FXSR,
  qemu32: FXSR,
  kvm32: FXSR,
  coreduo: FXSR_NX,
  core2duo: FXSR_NX,
  n270: FXSR_NX,
  qemu64: FXSR_NX,
  kvm64: FXSR_NX,
  phenom: FXSR_NX,
  Conroe: FXSR_NX,
  Penryn: FXSR_NX,
  Nehalem: FXSR_NX,
  Westmere: FXSR_NX,
  Opteron_G1: FXSR_NX,
  Opteron_G2: FXSR_NX,
  Opteron_G3: FXSR_NX,
  Opteron_G4: XSAVE_NX,
  Opteron_G5: XSAVE_NX,
  SandyBridge: XSAVE_NX,
  IvyBridge: XSAVE_NX,
  Haswell: XSAVE_NX,
  Broadwell: XSAVE_NX,
  Skylake: XSAVE_NX,
  Cascadelake: XSAVE_NX,
  Icelake: XSAVE_NX,
  EPYC: XSAVE_NX,
  max: XSAVE_NX,
};

/**
 * The features of a processor by QEMU's name of it, `+feature`, `-feature` and `feature=on` after commas
 * included. Undefined for a name that is not known.
 *
 * @param commandLine the kernel's, which can tell it not to use them
 */
export function cpuFeaturesOf(model: string, commandLine = ""): CpuFeatures | undefined {
  const [name = "", ...changes] = model.split(",");
  const base = MODELS[name] ?? MODELS[name.split("-", 1)[0]!];
  if (base === undefined) return undefined;
  const features = { ...base };
  for (const change of changes) {
    const match = /^([+-]?)(fxsr|xsave|nx)(?:=(on|off))?$/.exec(change);
    if (match) features[match[2] as keyof CpuFeatures] = match[1] !== "-" && match[3] !== "off";
  }
  if (/\bnofxsr\b/.test(commandLine)) features.fxsr = false;
  if (/\bnoxsave\b/.test(commandLine)) features.xsave = false;
  if (/\bnoexec=off\b/.test(commandLine)) features.nx = false;
  return features;
}
