// SPDX-License-Identifier: MIT
// The two ports to the host: lines on the control port, plain bytes on the data port.
#ifndef CKPTEST_CHANNEL_H
#define CKPTEST_CHANNEL_H

#include "../common/hash.h"
#include "../common/text.h"

#define MAX_LINE 4096
#define BUFFER_BYTES (1UL << 20)

// The one large buffer of the agent; whoever uses it does so between two calls.
extern u8 channel_buffer[BUFFER_BYTES];

// Takes over two open descriptors; waits until the host has connected both. One for both is a serial line.
void channel_start(int control, int data);

// The next line of the host without its LF. A line that is too long gives NULL. Does not return at end of
// file.
char *channel_read_line(void);

// Passes the time in a loop that waits for something in the guest, at most until `fd` (-1: none) can be
// read. Ends the guest when the host is gone; false when the host has sent another command, which ends the
// wait.
bool channel_pause(int fd, int ms);

// Exactly `length` bytes from the host's side of the data port.
void data_read(void *bytes, size_t length);

// Bytes to the host. A port that fails is fatal.
void data_write(const void *bytes, size_t length);

// A blob's bytes go out as they come; its announcement, with length and digest, follows them.
void blob_start(struct hash *blob);
void blob_write(struct hash *blob, const void *bytes, size_t length);
void blob_end(const char *name, struct hash *blob);
void blob_of(const char *name, const void *bytes, size_t length);
// Sends at most `length` bytes of what is left of an open file. 0, or the error that ended it early; the blob is
// announced in any case.
long blob_of_file(const char *name, int fd, u64 length);

// The answer: reply_start("ok"), any number of " key=value", reply_end(). Values of %s are escaped.
void reply_start(const char *first_word);
void reply(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Where `error` is negative, all that goes out is `err` with what failed.
void reply_end(long error);
// Says what failed. Gives the error, which is negative, or 0 where something may fail yet.
long failed(long error, const char *format, ...) __attribute__((format(printf, 2, 3)));

// A line on the console, and the end of the guest.
__attribute__((noreturn)) void fatal(const char *what, long error);
__attribute__((noreturn)) void power_off(void);
void console_line(const char *what, long error);

#endif
