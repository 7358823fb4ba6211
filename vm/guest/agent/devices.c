// SPDX-License-Identifier: MIT
#include "devices.h"

#include <linux/fcntl.h>
#include <linux/stat.h>

#include "../common/syscall.h"
#include "../common/text.h"

struct device {
	const char *name;
	u32 mode;
	u32 major;
	u32 minor;
};

// Their numbers never change (Documentation/admin-guide/devices.txt).
static const struct device FIXED[] = {
	{ "mem", S_IFCHR | 0640, 1, 1 },
	{ "null", S_IFCHR | 0666, 1, 3 },    { "zero", S_IFCHR | 0666, 1, 5 },	 { "full", S_IFCHR | 0666, 1, 7 },
	{ "random", S_IFCHR | 0666, 1, 8 },  { "urandom", S_IFCHR | 0666, 1, 9 }, { "kmsg", S_IFCHR | 0644, 1, 11 },
	{ "tty", S_IFCHR | 0666, 5, 0 },     { "console", S_IFCHR | 0600, 5, 1 }, { "ttyS0", S_IFCHR | 0600, 4, 64 },
	{ "ttyS1", S_IFCHR | 0600, 4, 65 },
};

struct directory_entry {
	u64 inode;
	s64 offset;
	u16 length;
	u8 type;
	char name[];
};

static void make(const struct device *device)
{
	char path[300];
	u32 number = (device->minor & 0xff) | device->major << 8 | (device->minor & ~0xffU) << 12;

	SYS(mknod, text_print(path, sizeof(path), "/dev/%s", device->name), device->mode, number);
}

static u32 take_number(const char **at)
{
	u32 number = 0;

	for (; **at >= '0' && **at <= '9'; (*at)++)
		number = 10 * number + (u32)(**at - '0');
	return number;
}

// /sys/class/CLASS/NAME/dev holds "MAJOR:MINOR\n".
static void make_listed(const char *class, const char *name, u32 mode)
{
	char path[600];
	char number[32];
	const char *at = number;
	struct device device = { .name = name, .mode = mode };

	text_print(path, sizeof(path), "%s/%s/dev", class, name);
	if (sys_read_file(path, number, sizeof(number)) <= 0)
		return;
	device.major = take_number(&at);
	at++;
	device.minor = take_number(&at);
	make(&device);
}

static void make_class(const char *class, u32 mode)
{
	static u8 bytes[4096] __attribute__((aligned(8)));
	long fd = SYS(open, class, O_RDONLY | O_DIRECTORY);
	long length;

	if (fd < 0)
		return;
	while ((length = SYS(getdents64, fd, bytes, sizeof(bytes))) > 0) {
		for (long at = 0; at < length;) {
			const struct directory_entry *entry = (const void *)(bytes + at);

			if (entry->name[0] != '.')
				make_listed(class, entry->name, mode);
			at += entry->length;
		}
	}
	SYS(close, fd);
}

void devices_make(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(FIXED); i++)
		make(&FIXED[i]);
	make_class("/sys/class/misc", S_IFCHR | 0600);
	make_class("/sys/class/virtio-ports", S_IFCHR | 0600);
	make_class("/sys/block", S_IFBLK | 0600);
}
