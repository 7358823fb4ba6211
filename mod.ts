// SPDX-License-Identifier: MIT

/**
 * Linux checkpoint images: decode them, whole or as a stream, check them against every rule of the format, show them to
 * a person, build and encode them, write them as JSON and read that back. Pure: no I/O, no permissions; it runs in a
 * browser and in Node as it does in Deno.
 *
 * The x86 LDT and TLS are in `@ckptest/ckptest/x86`, what an image of a program must hold in `@ckptest/ckptest/model`,
 * and the comparison of both in `@ckptest/ckptest/compare`.
 *
 * @example Check an image, and say what breaks it
 * ```ts
 * import { buildImage, checkImage, findingText } from "@ckptest/ckptest";
 * import { assertEquals } from "@std/assert";
 *
 * const image = buildImage({ registers: { flags: 0n } });
 * const [finding] = checkImage(image);
 * assertEquals([finding?.id, finding?.path, finding?.offset], ["E_CPU_FLAGS", "task[0]/cpu.flags", 9088]);
 * assertEquals(checkImage(buildImage()).map(findingText), []);
 * ```
 *
 * @example Look a page up by its address
 * ```ts
 * import { buildImage, pageAt, readImage } from "@ckptest/ckptest";
 * import { assertEquals } from "@std/assert";
 *
 * const page = new Uint8Array(4096).fill(7);
 * const bytes = buildImage({ vmas: [{ start: 0x10000n, end: 0x20000n, pages: [[0x11000n, page]] }] });
 * const [task] = readImage(bytes).tasks;
 * assertEquals(task && pageAt(task, 0x11123n)?.bytes, page);
 * ```
 *
 * @example Decode an image as it comes in
 * ```ts
 * import { buildImage, ImageDecoderStream } from "@ckptest/ckptest";
 * import { assertEquals } from "@std/assert";
 *
 * const paths: string[] = [];
 * const nodes = new Blob([buildImage()]).stream().pipeThrough(new ImageDecoderStream());
 * for await (const node of nodes) paths.push(node.path);
 * assertEquals(paths.slice(0, 3), ["head", "head_arch", "task[0]"]);
 * ```
 *
 * @example Say what two images differ in, as they come in
 * ```ts
 * import { buildImage, decodeStream, diffImages } from "@ckptest/ckptest";
 * import { assertEquals } from "@std/assert";
 *
 * const images = [buildImage(), buildImage({ registers: { ax: 7n } })];
 * const [a, b] = images.map((bytes) => decodeStream(new Blob([bytes]).stream()));
 * const { differences } = await diffImages([a!, b!]);
 * assertEquals(differences, [{ section: "registers", task: 0, what: "ax", a: "0x0", b: "0x7" }]);
 * ```
 *
 * @module
 */

export type { WordSize } from "./lib/abi/arch.ts";
export type { Dialect } from "./lib/abi/series.ts";
export {
  buildImage,
  type ImageSpec,
  RW_FLAGS,
  type TaskSpec,
  type VmaSpec,
} from "./lib/image/build_image.ts";
export { decodeBytes, decodeStream, ImageDecoderStream } from "./lib/image/decoder.ts";
export type * from "./lib/image/decoder.ts";
export {
  type AreaDifference,
  diffImages,
  type ImageDiff,
  type PageDifference,
} from "./lib/image/diff/diff_images.ts";
export type { DIFF_SECTIONS, ImageDifference } from "./lib/image/diff/diff_outlines.ts";
export type { FormatOptions, ImageFormat } from "./lib/image/dialect.ts";
export { type Finding, findingText, type Verdict, worstVerdict } from "./lib/image/finding.ts";
export { pageAt, readImage, readNodes, vmaPages } from "./lib/image/image.ts";
export type * from "./lib/image/image.ts";
export { imageFromJson, imageToJson, nodeToJson } from "./lib/image/image_json.ts";
export type * from "./lib/image/image_json.ts";
export { encode, ImageWriter, type WrittenFields, type WrittenHeader } from "./lib/image/image_writer.ts";
export { type MalformedFinding, MalformedImageError } from "./lib/image/malformed_image_error.ts";
export * from "./lib/image/nodes.ts";
export { ROWS } from "./lib/image/structs.ts";
export {
  type Numbering,
  type RecordDesc,
  type RecordFields,
  type RecordName,
  RECORDS,
} from "./lib/image/records.ts";
export { type RuleId, type RuleInfo, ruleInfo, type RuleRow, RULES } from "./lib/image/rule_ids.ts";
export { checkImage, checkImageStream, checkNodes, RuleChecker } from "./lib/image/rules.ts";
export type * from "./lib/image/rules.ts";
export { diffLines } from "./lib/image/show/show_diff.ts";
export { ImagePrinter, showImage } from "./lib/image/show/show_image.ts";
export { TreePrinter } from "./lib/image/show/show_tree.ts";
export type * from "./lib/image/struct_desc.ts";
