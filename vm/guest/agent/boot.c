// SPDX-License-Identifier: MIT
#include "agent.h"

#include <linux/mount.h>
#include <linux/stat.h>
#include <linux/utsname.h>

// Not in the headers for user space.
#define MNT_DETACH 2
// Looks, a millisecond apart, until a file system that is in use is given up.
#define LATEST_RELEASE 500

#define MAX_PORTS 31
#define SERIAL_LINE "/dev/ttyS1"
#define EAGER_LOOKS 200
#define LATEST_LOOK 10000

#ifdef __x86_64__
#define ARCH "x86_64"
#else
#define ARCH "i386"
#endif

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

static void make_device(const struct device *device)
{
	char path[300];
	u32 number = (device->minor & 0xff) | device->major << 8 | (device->minor & ~0xffU) << 12;

	SYS(mknod, text_print(path, sizeof(path), "/dev/%s", device->name), device->mode, number);
}

// /sys/class/CLASS/NAME/dev holds "MAJOR:MINOR\n".
static void make_listed(const char *class, const char *name, u32 mode)
{
	char path[600];
	char numbers[32];
	const char *at = numbers;
	u64 major;
	u64 minor;

	text_print(path, sizeof(path), "%s/%s/dev", class, name);
	if (sys_read_file(path, numbers, sizeof(numbers)) > 0 && text_digits(&at, 10, &major) && *at++ == ':' &&
	    text_digits(&at, 10, &minor))
		make_device(&(struct device){ name, mode, (u32)major, (u32)minor });
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

// Device files by hand, for kernels without devtmpfs (before 2.6.32, or configured so): what the kernel lists in /sys,
// and in any case the few that the agent itself needs.
static void make_devices(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(FIXED); i++)
		make_device(&FIXED[i]);
	make_class("/sys/class/misc", S_IFCHR | 0600);
	make_class("/sys/class/virtio-ports", S_IFCHR | 0600);
	make_class("/sys/block", S_IFBLK | 0600);
}

static void mount_or_die(const char *type, const char *directory, const char *options)
{
	SYS(mkdir, directory, 0755);
	long error = SYS(mount, type, directory, type, 0, options);

	// EBUSY: the kernel has mounted it already.
	if (error < 0 && error != -EBUSY)
		fatal(directory, error);
}

// The number of a file system; 0 where nobody can tell.
static u32 device_of(const char *directory)
{
	struct statx found = { 0 };

	SYS(statx, AT_FDCWD, directory, 0, 0, &found);
	return found.stx_dev_minor;
}

// Mounts an empty file system in place of the one that is there. True when somebody still held a file of the old one,
// or holds it by a mount of another namespace: it keeps its number then, else the new one has that, the lowest free.
static bool empty_tmpfs(const char *directory, const char *options)
{
	u32 device = device_of(directory);
	long error = SYS(umount2, directory, 0);

	// The kernel gives the files of processes that have ended back in its own time.
	for (int look = 0; error == -EBUSY && look < LATEST_RELEASE; look++) {
		sys_sleep_ms(1);
		error = SYS(umount2, directory, 0);
	}
	if (error == -EBUSY)
		SYS(umount2, directory, MNT_DETACH);
	mount_or_die("tmpfs", directory, options);
	for (int look = 0; error >= 0 && device_of(directory) > device && look < LATEST_RELEASE; look++) {
		sys_sleep_ms(1);
		SYS(umount2, directory, 0);
		mount_or_die("tmpfs", directory, options);
	}
	return error == -EBUSY || (error >= 0 && device_of(directory) > device);
}

bool boot_empty_work(void)
{
	return empty_tmpfs(WORK_DIRECTORY, "mode=0777,size=90%");
}

bool boot_empty_run(void)
{
	return empty_tmpfs(RUN_DIRECTORY, "mode=0755,size=90%");
}

void boot_mount_writable(void)
{
	mount_or_die("proc", "/proc", NULL);
	mount_or_die("tmpfs", "/run", "mode=0755");
	mount_or_die("tmpfs", "/tmp", "mode=01777,size=90%");
	boot_empty_work();
	boot_empty_run();
}

// What a kernel does that the scenarios do not speak of: Yama allows a task to look into its own children alone, and
// khugepaged gives memory pages that no step has made, whenever it comes by. What is not there is not written to.
static const struct {
	const char *path;
	const char *value;
} SETTINGS[] = {
	{ "/proc/sys/kernel/yama/ptrace_scope", "0" },
	{ "/sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none", "0" },
	{ "/sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_swap", "0" },
	{ "/sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_shared", "0" },
};

static void write_settings(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(SETTINGS); i++) {
		long fd = SYS(open, SETTINGS[i].path, O_WRONLY | O_CLOEXEC);

		if (fd < 0)
			continue;
		SYS(write, fd, SETTINGS[i].value, text_length(SETTINGS[i].value));
		SYS(close, fd);
	}
}

void boot_mount_all(void)
{
	SYS(umask, 0);
	mount_or_die("sysfs", "/sys", NULL);
	if (SYS(mount, "devtmpfs", "/dev", "devtmpfs", 0, NULL) == -ENODEV) {
		mount_or_die("tmpfs", "/dev", "mode=0755");
		make_devices();
	}
	long null = SYS(open, "/dev/null", O_RDWR);

	if (null < 0)
		fatal("/dev/null", null);
	for (int fd = 0; fd < 3; fd++)
		if (null != fd)
			SYS(dup2, null, fd);
	if (null > 2)
		SYS(close, null);
	// Stays open: only then does the kernel listen to the console, for sysrq.
	SYS(open, "/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);
	boot_mount_writable();
	write_settings();
}

// All ports are of one device, whose number the kernel counts from 0 up.
static int find_port(const char *name)
{
	char path[64];
	char found[64];

	for (int port = 0; port <= MAX_PORTS; port++) {
		text_print(path, sizeof(path), "/sys/class/virtio-ports/vport0p%d/name", port);
		if (sys_read_file(path, found, sizeof(found)) <= 0)
			continue;
		if (!text_starts(found, name) || found[text_length(name)] != '\n')
			continue;
		text_print(path, sizeof(path), "/dev/vport0p%d", port);
		long fd = SYS(open, path, O_RDWR | O_NONBLOCK | O_CLOEXEC);

		if (fd == -ENOENT) {
			// It came up after the device files were made by hand.
			make_devices();
			fd = SYS(open, path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		}
		if (fd < 0)
			fatal(path, fd);
		return (int)fd;
	}
	return -1;
}

void boot_open_ports(int *control, int *data)
{
	*control = *data = -1;
	for (int look = 0; *control < 0 || *data < 0; look++) {
		if (*control < 0)
			*control = find_port("ckptest.control");
		if (*data < 0)
			*data = find_port("ckptest.data");
		// The ports come up in a worker thread, which needs a turn.
		if (look < EAGER_LOOKS)
			SYS(sched_yield);
		else
			sys_sleep_ms(1);
		if (look == LATEST_LOOK)
			fatal("no virtio ports named ckptest.control and ckptest.data", 0);
	}
}

int boot_open_serial(void)
{
	long fd = SYS(open, SERIAL_LINE, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		fatal(SERIAL_LINE, fd);
	return (int)fd;
}

// The frame of the page that every untouched private page reads from; 0 when the kernel does not tell, or has none:
// from 2.6.24 to 2.6.31 each gets one of its own.
static u64 zero_page_frame(void)
{
	u64 entries[2] = { 0, 1 };
	volatile const u8 *pages = sys_map_anonymous(2 * PAGE_BYTES, false);
	long fd = SYS(open, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	(void)pages[0];
	(void)pages[PAGE_BYTES];
	sys_pread((int)fd, entries, sizeof(entries), (unsigned long)pages / PAGE_BYTES * sizeof(entries[0]));
	SYS(close, fd);
	SYS(munmap, pages, 2 * PAGE_BYTES);
	return entries[0] == entries[1] ? entries[0] & ((1ULL << 55) - 1) : 0;
}

void boot_say_hello(void)
{
	struct new_utsname names;

	SYS(uname, &names);
	reply_start("hello");
	reply(" protocol=2 arch=" ARCH " word_size=%d release=%s version=%s machine=%s zero_page_frame=0x%llx",
	      (int)sizeof(long), names.release, names.version, names.machine, zero_page_frame());
	reply_end(0);
}
