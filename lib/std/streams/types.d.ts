// SPDX-License-Identifier: MIT

/** Cuts a stream of text into lines without their line ends. */
export declare class TextLineStream extends TransformStream<string, string> {
  constructor();
}
