// SPDX-License-Identifier: MIT
#include "agent.h"

#include <asm/poll.h>
#include <linux/reboot.h>

// Before Linux 6.1 a port can lose the wake-up of a waiting reader or writer, so no wait is longer than
// this.
#define LONGEST_WAIT_MS 50

u8 channel_buffer[BUFFER_BYTES] __attribute__((aligned(4096)));

static int ports[] = { -1, -1 };
static char reply_bytes[MAX_LINE];
struct text reply_text = { .bytes = reply_bytes, .size = sizeof(reply_bytes), .escapes = true };
char failed_text[1000];

void console_line(const char *what, long error)
{
	char line[256];
	int fd = (int)SYS(open, "/dev/console", O_WRONLY | O_NOCTTY);

	if (error < 0)
		text_print(line, sizeof(line), "ckptest-agent: %s: errno %ld\n", what, -error);
	else
		text_print(line, sizeof(line), "ckptest-agent: %s\n", what);
	sys_write_all(fd, line, text_length(line));
	sys_close(fd);
}

// A machine without ACPI cannot switch itself off: it restarts, and QEMU's -no-reboot turns that into an
// exit.
void power_off(void)
{
	static bool is_ending;
	bool drains = serial_is_on() && !is_ending;

	is_ending = true;
	if (drains)
		serial_drain();
	SYS(sync);
	SYS(reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART, 0);
	SYS(exit_group, 0);
	__builtin_unreachable();
}

void fatal(const char *what, long error)
{
	console_line(what, error);
	power_off();
}

void channel_start(int control, int data)
{
	ports[CHANNEL_CONTROL] = control;
	ports[CHANNEL_DATA] = data;
	if (control == data) {
		serial_start(control);
		return;
	}
	// Until the host has connected, a port takes nothing and reads as ended.
	while ((sys_poll(control, POLLOUT, -1, 1) & sys_poll(data, POLLOUT, -1, 1) & POLLOUT) == 0)
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
	if (lockstep_is_on())
		return lockstep_read(channel, bytes, length);
	int fd = ports[channel];
	long count = SYS(read, fd, bytes, length);

	if (count > 0)
		return (size_t)count;
	if (count == 0 || host_is_gone(count))
		power_off();
	if (count != -EAGAIN && count != -EINTR)
		fatal("cannot read from the host", count);
	sys_poll(fd, POLLIN, -1, LONGEST_WAIT_MS);
	return 0;
}

void port_write(int fd, const void *bytes, size_t length)
{
	const u8 *at = bytes;

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
		if (sys_poll(fd, POLLOUT, -1, LONGEST_WAIT_MS) & POLLHUP)
			power_off();
	}
}

// What has not been written yet. Each write wakes the host up, so an answer is written in as few as can be: the kernel
// takes no more than this at a time.
#define WRITE_BYTES 32768UL

static struct {
	u8 bytes[WRITE_BYTES];
	size_t length;
} unwritten[2];

static void channel_flush(int channel)
{
	const u8 *at = unwritten[channel].bytes;
	size_t length = unwritten[channel].length;

	unwritten[channel].length = 0;
	if (serial_is_on()) {
		serial_write(channel, at, length);
		return;
	}
	while (length > 0) {
		size_t part = lockstep_part(length);

		port_write(ports[channel], at, part);
		lockstep_wrote(channel, part);
		at += part;
		length -= part;
	}
}

static void channel_write(int channel, const void *bytes, size_t length)
{
	const u8 *at = bytes;

	while (length > 0) {
		size_t room = WRITE_BYTES - unwritten[channel].length;
		size_t part = length < room ? length : room;

		memcpy(unwritten[channel].bytes + unwritten[channel].length, at, part);
		unwritten[channel].length += part;
		if (part == room)
			channel_flush(channel);
		at += part;
		length -= part;
	}
}

bool channel_pause(int fd, int ms)
{
	if (serial_is_on())
		return !serial_wait(CHANNEL_CONTROL, fd, ms);
	int found = sys_poll(ports[CHANNEL_CONTROL], POLLIN, fd, ms);

	// A port that hung up may still hold what the host sent last; the read tells.
	if ((found & (POLLHUP | POLLIN)) == POLLHUP)
		power_off();
	return (found & POLLIN) == 0;
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

void blob_write(struct hash *blob, const void *bytes, size_t length)
{
	hash_update(blob, bytes, length);
	channel_write(CHANNEL_DATA, bytes, length);
}

void blob_end(const char *name, struct hash *blob)
{
	char bytes[MAX_LINE];
	struct text line = { .bytes = bytes, .size = sizeof(bytes), .escapes = true };

	text_format(&line, "blob name=%s length=%llu hash=%016llx\n", name, blob->length, hash_finish(blob));
	channel_write(CHANNEL_CONTROL, line.bytes, line.length);
}

void blob_of(const char *name, const void *bytes, size_t length)
{
	struct hash blob;

	hash_start(&blob);
	blob_write(&blob, bytes, length);
	blob_end(name, &blob);
}

long blob_of_file(const char *name, int fd, u64 length)
{
	struct hash blob;
	long count = 0;

	hash_start(&blob);
	while (length > 0) {
		count = SYS(read, fd, channel_buffer, length < BUFFER_BYTES ? (size_t)length : BUFFER_BYTES);
		if (count <= 0)
			break;
		blob_write(&blob, channel_buffer, (size_t)count);
		length -= (u64)count;
	}
	blob_end(name, &blob);
	return count < 0 ? count : 0;
}

void reply_start(const char *first_word)
{
	reply_text.length = 0;
	reply_text.full = false;
	reply("%s", first_word);
}

void reply_end(long error)
{
	if (error < 0) {
		reply_start("err");
		reply(" errno=%ld what=%s", -error, *failed_text == '\0' ? "nothing" : failed_text);
	}
	if (reply_text.full)
		fatal("an answer longer than a line", 0);
	reply("\n");
	channel_write(CHANNEL_CONTROL, reply_text.bytes, reply_text.length);
	channel_flush(CHANNEL_DATA);
	channel_flush(CHANNEL_CONTROL);
}
