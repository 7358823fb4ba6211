// SPDX-License-Identifier: MIT
// Both channels over one serial line, for kernels that have no virtio ports: frames with digests, acknowledged
// and sent again, so that a line that loses or spoils bytes loses none of ours. The host's end of it is
// vm/agent/serial_line.ts, which describes the frames.
#ifndef CKPTEST_SERIAL_H
#define CKPTEST_SERIAL_H

#include "../common/types.h"

#define CHANNEL_CONTROL 0
#define CHANNEL_DATA 1

// Takes over an open descriptor: a terminal, or in tests a socket.
void serial_start(int fd);

// True when the line is in use.
bool serial_is_on(void);

// Some bytes of a channel; 0 when none came within `ms`.
size_t serial_read(int channel, void *bytes, size_t length, int ms);

// Returns when all bytes are on the line; all but the last few are acknowledged then.
void serial_write(int channel, const void *bytes, size_t length);

// Waits at most `ms` for input on the line or on `fd` (-1: none). True when the channel has input.
bool serial_wait(int channel, int fd, int ms);

// Waits until the host has everything, or does not listen any more.
void serial_drain(void);

#endif
