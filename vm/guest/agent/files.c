// SPDX-License-Identifier: MIT
// Commands about files and file systems of the guest.
#include "files.h"

#include <linux/errno.h>
#include <linux/fcntl.h>

#include "boot.h"
#include "channel.h"
#include "../common/syscall.h"

static char swap_path[256];

static void answer(long error, const char *what)
{
	if (error < 0)
		reply_error(error, what);
	else
		reply_done();
}

// Takes `length` bytes off the data port, whatever becomes of them: the stream must stay in step.
static long take_bytes(int fd, u64 length, struct hash *hash)
{
	long error = fd < 0 ? fd : 0;

	hash_start(hash);
	while (length > 0) {
		size_t part = length < BUFFER_BYTES ? (size_t)length : BUFFER_BYTES;

		data_read(channel_buffer, part);
		hash_update(hash, channel_buffer, part);
		if (error == 0)
			error = sys_write_all(fd, channel_buffer, part);
		length -= part;
	}
	return error;
}

static void receive(const struct command *command, const char *path, int flags)
{
	struct hash hash;
	u64 length;
	char digest[17];
	struct text text = TEXT_IN(digest);

	if (!command_need_number(command, "length", &length))
		return;
	const char *expected = command_need_text(command, "hash");
	long fd = SYS(open, path, flags | O_CLOEXEC, 0755);
	long error = take_bytes((int)fd, length, &hash);

	if (fd >= 0)
		SYS(close, fd);
	text_hex(&text, hash_finish(&hash), 16);
	if (expected == NULL)
		return;
	if (!text_equal(text_end(&text), expected))
		reply_error(EBADMSG, "the bytes that came do not have the digest that was announced");
	else
		answer(error, *path != '\0' ? path : "missing: path");
}

void command_program(const struct command *command)
{
	// A new file, since a target may still read the old one.
	SYS(unlink, PROGRAM_PATH);
	receive(command, PROGRAM_PATH, O_WRONLY | O_CREAT | O_EXCL);
}

void command_writefile(const struct command *command)
{
	const char *path = command_text(command, "path");

	// Without a path it still takes the bytes, and then says that it has no place for them.
	receive(command, path != NULL ? path : "", O_WRONLY | O_CREAT | O_TRUNC);
}

static void send_file(const char *name, const char *path)
{
	long fd = SYS(open, path, O_RDONLY | O_CLOEXEC);
	long error = fd;

	if (fd >= 0) {
		error = blob_of_file(name, (int)fd);
		SYS(close, fd);
	}
	answer(error, path);
}

// A part of a file: what there is of `length` bytes from `offset` on.
static void send_part(const char *path, u64 offset, u64 length)
{
	long fd = SYS(open, path, O_RDONLY | O_CLOEXEC);
	struct blob blob;
	long count = 0;

	if (fd < 0) {
		reply_error(fd, path);
		return;
	}
	blob_start(&blob, "file");
	while (length > 0) {
		size_t part = length < BUFFER_BYTES ? (size_t)length : BUFFER_BYTES;

		count = sys_pread((int)fd, channel_buffer, part, offset);
		if (count <= 0)
			break;
		blob_write(&blob, channel_buffer, (size_t)count);
		offset += (u64)count;
		length -= (u64)count;
	}
	blob_end(&blob);
	SYS(close, fd);
	answer(count < 0 ? count : 0, path);
}

void command_readfile(const struct command *command)
{
	const char *path = command_need_text(command, "path");
	u64 offset = 0;
	u64 length = ~0ULL;

	if (path == NULL || !command_number(command, "offset", &offset) ||
	    !command_number(command, "length", &length))
		return;
	if (offset == 0 && length == ~0ULL)
		send_file("file", path);
	else
		send_part(path, offset, length);
}

void command_results(const struct command *command)
{
	(void)command;
	send_file("results", RESULTS_PATH);
}

void command_image6(const struct command *command)
{
	(void)command;
	send_file("image6", IMAGE_PATH);
}

void command_mkdir(const struct command *command)
{
	const char *path = command_need_text(command, "path");

	if (path == NULL)
		return;
	long error = SYS(mkdir, path, 0777);

	answer(error == -EEXIST ? 0 : error, path);
}

void command_mount(const struct command *command)
{
	const char *type = command_need_text(command, "type");
	const char *directory = type == NULL ? NULL : command_need_text(command, "dir");
	const char *source = command_text(command, "src");
	u64 flags = 0;

	if (directory == NULL || !command_number(command, "flags", &flags))
		return;
	const char *data = command_text(command, "data");

	answer(SYS(mount, source != NULL ? source : type, directory, type, flags, data), directory);
}

void command_swapon(const struct command *command)
{
	const char *path = command_need_text(command, "path");

	if (path == NULL)
		return;
	long error = SYS(swapon, path, 0);

	if (error == 0 && text_length(path) < sizeof(swap_path))
		memcpy(swap_path, path, text_length(path) + 1);
	answer(error, path);
}

// Switches off the swap space that was named, or the one that was switched on last.
void command_swapoff(const struct command *command)
{
	const char *path = command_text(command, "path");

	if (path == NULL)
		path = swap_path;
	answer(SYS(swapoff, path), path);
}
