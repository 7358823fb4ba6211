// SPDX-License-Identifier: MIT
// Files of the guest, to the host and from it.
#include "agent.h"

#include <linux/fs.h>

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

long command_writefile(const struct command *command)
{
	struct hash hash;
	long fd = SYS(open, command->path, O_WRONLY | O_CREAT | O_TRUNC | O_LARGEFILE | O_CLOEXEC, 0755);
	long error = take_bytes((int)fd, command->length, &hash);

	sys_close((int)fd);
	if (!hash_is(&hash, command->hash))
		return failed(-EBADMSG, "the bytes that came do not have the digest that was announced");
	return failed(error, "%s", command->path);
}

// What there is of `length` bytes from `offset` on; by default all of the file.
long command_readfile(const struct command *command)
{
	long fd = SYS(open, command->path, O_RDONLY | O_LARGEFILE | O_CLOEXEC);
	s64 error = fd;

	// Not every file can be sought in.
	if (fd >= 0 && command->offset != 0)
		error = sys_seek((int)fd, command->offset, SEEK_SET);
	if (error >= 0)
		error = blob_of_file("file", (int)fd, command->length);
	sys_close((int)fd);
	return failed((long)error, "%s", command->path);
}
