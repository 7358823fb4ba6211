// SPDX-License-Identifier: MIT
// Strings, and text built up in a fixed buffer.
#ifndef CKPTEST_TEXT_H
#define CKPTEST_TEXT_H

#include "types.h"

void *memcpy(void *to, const void *from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int byte, size_t length);
int memcmp(const void *a, const void *b, size_t length);
size_t text_length(const char *text);
bool text_equal(const char *a, const char *b);
bool text_starts(const char *text, const char *prefix);

// Reads a whole decimal or 0x number; false when there is anything else in the text, or it does not fit.
bool text_number(const char *text, u64 *value);

// Undoes percent-encoding in place; false on a bad sequence or a NUL.
bool text_unescape(char *text);

// Text under construction. What does not fit is dropped, and `full` says so. With `escapes`, bytes of a %s outside of
// 0x21 to 0x7e, and '%', go as %XX.
struct text {
	char *bytes;
	size_t length;
	size_t size;
	bool escapes;
	bool full;
};

#define TEXT_IN(array) { .bytes = (array), .size = sizeof(array) }

void text_char(struct text *text, char c);

// As printf, with %s, %d, %u and %x, their `l` and `ll`, and a least number of digits such as %016llx.
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_list(struct text *text, const char *format, __builtin_va_list list);

// As snprintf; gives `bytes`.
char *text_print(char *bytes, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
