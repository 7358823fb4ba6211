// SPDX-License-Identifier: MIT
// Files of the guest, to the host and from it.
#include <linux/errno.h>
#include <linux/fcntl.h>

#include "channel.h"
#include "command.h"
#include "../common/syscall.h"

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

void command_writefile(const struct command *command)
{
	const char *path = command_text(command, "path");
	struct hash hash;
	u64 length;
	char digest[17];
	struct text text = TEXT_IN(digest);

	if (!command_need_number(command, "length", &length))
		return;
	const char *expected = command_need_text(command, "hash");
	// Without a path it still takes the bytes, and then says that it has no place for them.
	long fd = SYS(open, path != NULL ? path : "", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	long error = take_bytes((int)fd, length, &hash);

	if (fd >= 0)
		SYS(close, fd);
	text_hex(&text, hash_finish(&hash), 16);
	if (expected == NULL)
		return;
	if (!text_equal(text_end(&text), expected))
		reply_error(EBADMSG, "the bytes that came do not have the digest that was announced");
	else
		reply_result(error, path != NULL ? path : "missing: path");
}

// What there is of `length` bytes from `offset` on; by default all of the file.
void command_readfile(const struct command *command)
{
	const char *path = command_need_text(command, "path");
	u64 offset = 0;
	u64 length = ~0ULL;

	if (path == NULL || !command_number(command, "offset", &offset) ||
	    !command_number(command, "length", &length))
		return;
	long fd = SYS(open, path, O_RDONLY | O_CLOEXEC);
	long error = fd;

	// Not every file can be sought in.
	if (fd >= 0 && offset != 0)
		error = sys_seek_set((int)fd, offset);
	if (error >= 0)
		error = blob_of_file("file", (int)fd, length);
	if (fd >= 0)
		SYS(close, fd);
	reply_result(error, path);
}
