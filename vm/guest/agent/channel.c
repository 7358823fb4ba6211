// SPDX-License-Identifier: MIT
#include "channel.h"

#include <asm/poll.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/reboot.h>

#include "serial.h"
#include "../common/syscall.h"

// Before Linux 6.1 a port can lose the wake-up of a waiting reader or writer, so no wait is longer than
// this.
#define LONGEST_WAIT_MS 50

struct poll_entry {
	int fd;
	short events;
	short revents;
};

u8 channel_buffer[BUFFER_BYTES] __attribute__((aligned(4096)));

static int control_fd = -1;
static int data_fd = -1;
static char reply_bytes[MAX_LINE];
static struct text reply = TEXT_IN(reply_bytes);

static int poll_one(int fd, int events, int ms)
{
	struct poll_entry one = { .fd = fd, .events = (short)events };
	long count = SYS(poll, &one, 1, ms);

	return count > 0 ? one.revents : 0;
}

void console_line(const char *what, long error)
{
	char bytes[256];
	struct text line = TEXT_IN(bytes);
	long fd = SYS(open, "/dev/console", O_WRONLY | O_NOCTTY);

	text_put(&line, "ckptest-agent: ");
	text_put(&line, what);
	if (error < 0) {
		text_put(&line, ": errno ");
		text_signed(&line, -error);
	}
	text_char(&line, '\n');
#ifdef CKPTEST_HOST_TEST
	fd = 2;
#endif
	if (fd >= 0)
		sys_write_all((int)fd, line.bytes, line.length);
	if (fd > 2)
		SYS(close, fd);
}

// A machine without ACPI cannot switch itself off: it restarts, and QEMU's -no-reboot turns that into an
// exit.
void power_off(void)
{
	if (serial_is_on())
		serial_drain();
	SYS(sync);
#ifndef CKPTEST_HOST_TEST
	SYS(reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART, 0);
#endif
	SYS(exit_group, 0);
	__builtin_unreachable();
}

void fatal(const char *what, long error)
{
	console_line(what, error);
#ifdef CKPTEST_HOST_TEST
	SYS(exit_group, 3);
#endif
	power_off();
}

void channel_start(int control, int data)
{
	control_fd = control;
	data_fd = data;
	if (control == data) {
		serial_start(control);
		return;
	}
	// Until the host has connected, a port takes nothing and reads as ended.
	while ((poll_one(control, POLLOUT, 1) & POLLOUT) == 0)
		;
	while ((poll_one(data, POLLOUT, 1) & POLLOUT) == 0)
		;
}

static bool host_is_gone(long error)
{
	return error == -EPIPE || error == -ENODEV || error == -ECONNRESET;
}

// Some bytes; 0 when there are none yet. Ends the guest when the host is gone.
static size_t port_read(int channel, void *bytes, size_t length)
{
	if (serial_is_on())
		return serial_read(channel, bytes, length, LONGEST_WAIT_MS);
	int fd = channel == CHANNEL_DATA ? data_fd : control_fd;
	long count = SYS(read, fd, bytes, length);

	if (count > 0)
		return (size_t)count;
	if (count == 0 || host_is_gone(count))
		power_off();
	if (count != -EAGAIN && count != -EINTR)
		fatal("cannot read from the host", count);
	poll_one(fd, POLLIN, LONGEST_WAIT_MS);
	return 0;
}

static void port_write(int channel, const void *bytes, size_t length)
{
	int fd = channel == CHANNEL_DATA ? data_fd : control_fd;
	const u8 *at = bytes;

	if (serial_is_on()) {
		serial_write(channel, bytes, length);
		return;
	}

	while (length > 0) {
		long count = SYS(write, fd, at, length);

		if (count > 0) {
			at += count;
			length -= (size_t)count;
			continue;
		}
		if (host_is_gone(count))
			power_off();
		if (count != 0 && count != -EAGAIN && count != -EINTR)
			fatal("cannot write to the host", count);
		if (poll_one(fd, POLLOUT, LONGEST_WAIT_MS) & POLLHUP)
			power_off();
	}
}

bool channel_pause(int fd, int ms)
{
	struct poll_entry entries[] = {
		{ .fd = control_fd, .events = POLLIN },
		{ .fd = fd, .events = POLLIN },
	};

	if (serial_is_on())
		return !serial_wait(CHANNEL_CONTROL, fd, ms);
	if (SYS(poll, entries, ARRAY_SIZE(entries), ms) <= 0)
		return true;
	// A port that hung up may still hold what the host sent last; the read tells.
	if ((entries[0].revents & (POLLHUP | POLLIN)) == POLLHUP)
		power_off();
	return (entries[0].revents & POLLIN) == 0;
}

char *channel_read_line(void)
{
	static char bytes[MAX_LINE];
	static size_t kept;
	static size_t returned;
	bool too_long = false;

	kept -= returned;
	memmove(bytes, bytes + returned, kept);
	returned = 0;
	for (size_t checked = 0;;) {
		for (; checked < kept; checked++) {
			if (bytes[checked] != '\n')
				continue;
			bytes[checked] = '\0';
			returned = checked + 1;
			return too_long ? NULL : bytes;
		}
		if (kept == sizeof(bytes)) {
			too_long = true;
			kept = checked = 0;
		}
		kept += port_read(CHANNEL_CONTROL, bytes + kept, sizeof(bytes) - kept);
	}
}

void data_read(void *bytes, size_t length)
{
	u8 *at = bytes;

	while (length > 0) {
		size_t count = port_read(CHANNEL_DATA, at, length);

		at += count;
		length -= count;
	}
}

void data_write(const void *bytes, size_t length)
{
	port_write(CHANNEL_DATA, bytes, length);
}

void blob_start(struct blob *blob, const char *name)
{
	blob->name = name;
	hash_start(&blob->hash);
}

void blob_write(struct blob *blob, const void *bytes, size_t length)
{
	hash_update(&blob->hash, bytes, length);
	data_write(bytes, length);
}

void blob_end(struct blob *blob)
{
	char bytes[MAX_LINE];
	struct text line = TEXT_IN(bytes);

	text_put(&line, "blob name=");
	text_escaped(&line, blob->name, text_length(blob->name));
	text_put(&line, " length=");
	text_decimal(&line, blob->hash.length);
	text_put(&line, " hash=");
	text_hex(&line, hash_finish(&blob->hash), 16);
	text_char(&line, '\n');
	port_write(CHANNEL_CONTROL, line.bytes, line.length);
}

void blob_of(const char *name, const void *bytes, size_t length)
{
	struct blob blob;

	blob_start(&blob, name);
	blob_write(&blob, bytes, length);
	blob_end(&blob);
}

long blob_of_file(const char *name, int fd, u64 length)
{
	struct blob blob;
	long count = 0;

	blob_start(&blob, name);
	while (length > 0) {
		count = SYS(read, fd, channel_buffer, length < BUFFER_BYTES ? (size_t)length : BUFFER_BYTES);
		if (count <= 0)
			break;
		blob_write(&blob, channel_buffer, (size_t)count);
		length -= (u64)count;
	}
	blob_end(&blob);
	return count < 0 ? count : 0;
}

void reply_start(const char *first_word)
{
	reply.length = 0;
	reply.full = false;
	text_put(&reply, first_word);
}

static void reply_key(const char *key)
{
	text_char(&reply, ' ');
	text_put(&reply, key);
	text_char(&reply, '=');
}

void reply_number(const char *key, s64 value)
{
	reply_key(key);
	text_signed(&reply, value);
}

void reply_hex(const char *key, u64 value, int digits)
{
	reply_key(key);
	if (digits == 0)
		text_put(&reply, "0x");
	text_hex(&reply, value, digits == 0 ? 1 : digits);
}

void reply_text(const char *key, const char *bytes, size_t length)
{
	reply_key(key);
	text_escaped(&reply, bytes, length);
}

void reply_send(void)
{
	if (reply.full)
		fatal("an answer longer than a line", 0);
	text_char(&reply, '\n');
	port_write(CHANNEL_CONTROL, reply.bytes, reply.length);
}

void reply_error(long error, const char *what)
{
	size_t length;

	if (*what == '\0')
		what = "nothing";
	length = text_length(what);
	reply_start("err");
	reply_number("errno", error < 0 ? -error : error);
	reply_text("what", what, length > 1000 ? 1000 : length);
	reply_send();
}

void reply_result(long error, const char *what)
{
	if (error < 0) {
		reply_error(error, what);
		return;
	}
	reply_start("ok");
	reply_send();
}
