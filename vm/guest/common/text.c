// SPDX-License-Identifier: MIT
#include "common.h"

#include <stdarg.h>

static const char DIGITS[] = "0123456789abcdef";

// gcc calls these four by itself. Words at a time: emulators run `rep movsb` one byte at a time.
void *memcpy(void *to, const void *from, size_t length)
{
	u8 *t = to;
	const u8 *f = from;

	for (; length >= sizeof(long); length -= sizeof(long)) {
		*(__attribute__((may_alias, aligned(1))) unsigned long *)t =
			*(const __attribute__((may_alias, aligned(1))) unsigned long *)f;
		t += sizeof(long);
		f += sizeof(long);
	}
	while (length-- > 0)
		*t++ = *f++;
	return to;
}

void *memmove(void *to, const void *from, size_t length)
{
	u8 *t = to;
	const u8 *f = from;

	if (t <= f || t >= f + length)
		return memcpy(to, from, length);
	while (length-- > 0)
		t[length] = f[length];
	return to;
}

void *memset(void *to, int byte, size_t length)
{
	u8 *t = to;
	unsigned long word = (u8)byte * (~0UL / 255);

	for (; length > 0 && (size_t)t % sizeof(long) != 0; length--)
		*t++ = (u8)byte;
	for (; length >= sizeof(long); length -= sizeof(long)) {
		*(__attribute__((may_alias)) unsigned long *)t = word;
		t += sizeof(long);
	}
	while (length-- > 0)
		*t++ = (u8)byte;
	return to;
}

int memcmp(const void *a, const void *b, size_t length)
{
	const u8 *x = a;
	const u8 *y = b;

	for (size_t i = 0; i < length; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

size_t text_length(const char *text)
{
	size_t length = 0;

	while (text[length] != '\0')
		length++;
	return length;
}

bool text_equal(const char *a, const char *b)
{
	return text_starts(a, b) && text_starts(b, a);
}

bool text_starts(const char *text, const char *prefix)
{
	for (; *prefix != '\0'; text++, prefix++)
		if (*text != *prefix)
			return false;
	return true;
}

static u32 digit_value(char c)
{
	for (u32 i = 0; i < 16; i++)
		if (DIGITS[i] == (c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c))
			return i;
	return 16;
}

bool text_digits(const char **at, u32 base, u64 *value)
{
	const char *start = *at;

	*value = 0;
	for (u32 digit; (digit = digit_value(**at)) < base; ++*at)
		if (__builtin_mul_overflow(*value, base, value) || __builtin_add_overflow(*value, digit, value))
			return false;
	return *at != start;
}

bool text_number(const char *text, u64 *value)
{
	u32 base = text_starts(text, "0x") ? 16 : 10;

	text += base == 16 ? 2 : 0;
	return text_digits(&text, base, value) && *text == '\0';
}

int text_byte(const char *digits)
{
	u32 high = digit_value(digits[0]);
	u32 low = high == 16 ? 16 : digit_value(digits[1]);

	return low == 16 ? -1 : (int)(high << 4 | low);
}

bool text_unescape(char *text)
{
	char *to = text;

	for (; *text != '\0'; text++) {
		if (*text != '%') {
			*to++ = *text;
			continue;
		}
		int byte = text_byte(text + 1);

		if (byte <= 0)
			return false;
		*to++ = (char)byte;
		text += 2;
	}
	*to = '\0';
	return true;
}

void text_char(struct text *text, char c)
{
	// One byte stays free for the NUL of text_print().
	if (text->length + 1 < text->size)
		text->bytes[text->length++] = c;
	else
		text->full = true;
}

static void put_number(struct text *text, u64 value, u32 base, int least)
{
	char digits[20];
	int count = 0;

	for (; value != 0 || count < least; value /= base)
		digits[count++] = DIGITS[value % base];
	while (count > 0)
		text_char(text, digits[--count]);
}

static void put_string(struct text *text, const char *string)
{
	for (; *string != '\0'; string++) {
		u8 c = (u8)*string;

		if (!text->escapes || (c > 0x20 && c < 0x7f && c != '%'))
			text_char(text, *string);
		else
			text_format(text, "%%%02x", c);
	}
}

static void put_list(struct text *text, const char *format, va_list list)
{
	for (; *format != '\0'; format++) {
		int longs = 0;
		int least = 0;

		if (*format != '%') {
			text_char(text, *format);
			continue;
		}
		while (*++format >= '0' && *format <= '9')
			least = 10 * least + *format - '0';
		for (; *format == 'l'; format++)
			longs++;
		if (*format == '%') {
			text_char(text, '%');
		} else if (*format == 's') {
			put_string(text, va_arg(list, const char *));
		} else {
			bool is_signed = *format == 'd';
			bool is_wide = longs == 2 || (longs == 1 && sizeof(long) == sizeof(s64));
			s64 value = is_wide ? va_arg(list, s64) : va_arg(list, int);

			if (!is_wide && !is_signed)
				value = (u32)value;
			if (is_signed && value < 0)
				text_char(text, '-');
			u64 absolute = is_signed && value < 0 ? -(u64)value : (u64)value;

			put_number(text, absolute, *format == 'x' ? 16 : 10, least == 0 ? 1 : least);
		}
	}
}

void text_format(struct text *text, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	put_list(text, format, list);
	va_end(list);
}

char *text_print(char *bytes, size_t size, const char *format, ...)
{
	struct text text = { .bytes = bytes, .size = size };
	va_list list;

	va_start(list, format);
	put_list(&text, format, list);
	va_end(list);
	bytes[text.length] = '\0';
	return bytes;
}
