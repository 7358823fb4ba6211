// SPDX-License-Identifier: MIT
// What interfaces other than the checkpoint say of a process.
#include "agent.h"

#define PAGE_PRESENT (1ULL << 63)
#define PAGE_SWAPPED (1ULL << 62)
#define VSYSCALL_START 0xffffffffff600000ULL
// How far a read of pagemap walks at a time (PAGEMAP_WALK_SIZE in fs/proc/task_mmu.c).
#define WALK_BYTES (2ULL << 20)
#define ENTRIES_PER_READ 16384
#define RECORDS_PER_WRITE 16384

// The agent's large buffer, for the page list: what is read, and what is to be sent.
struct page_buffers {
	u64 entries[ENTRIES_PER_READ];
	struct {
		u64 address;
		u64 entry;
	} records[RECORDS_PER_WRITE];
};

_Static_assert(sizeof(struct page_buffers) <= BUFFER_BYTES, "the page list's buffers fit");

struct page_list {
	struct hash blob;
	struct page_buffers *buffers;
	int pagemap;
	u32 count;
	// The addresses whose entries are in the buffer.
	u64 first;
	u64 behind;
};

static void flush_pages(struct page_list *list)
{
	blob_write(&list->blob, list->buffers->records, list->count * sizeof(list->buffers->records[0]));
	list->count = 0;
}

// Makes sure that the entry of an address has been read. The kernel walks to the next multiple of 2 MiB
// however little is asked for, so all of that is taken: small mappings side by side must not be walked
// again for each.
static long read_entries(struct page_list *list, u64 address, u64 end)
{
	u64 wanted = ((end + WALK_BYTES - 1) / WALK_BYTES * WALK_BYTES - address) / PAGE_BYTES;

	if (address >= list->first && address < list->behind)
		return 0;
	if (wanted > ENTRIES_PER_READ)
		wanted = ENTRIES_PER_READ;
	long bytes = sys_pread(list->pagemap, list->buffers->entries, (size_t)wanted * 8,
			       address / PAGE_BYTES * 8);

	if (bytes < 8)
		return bytes < 0 ? bytes : -ENODATA;
	list->first = address;
	list->behind = address + (u64)bytes / 8 * PAGE_BYTES;
	return 0;
}

static long list_range(struct page_list *list, u64 start, u64 end)
{
	while (start < end) {
		long error = read_entries(list, start, end);

		if (error < 0)
			return error;
		for (; start < end && start < list->behind; start += PAGE_BYTES) {
			u64 entry = list->buffers->entries[(size_t)((start - list->first) / PAGE_BYTES)];

			// i386 kernels before 2.6.30 fill in the lower half alone, which is 0 in others of such a page.
			if ((entry & (PAGE_PRESENT | PAGE_SWAPPED)) == 0 && (u32)entry == 0)
				continue;
			if (list->count == RECORDS_PER_WRITE)
				flush_pages(list);
			list->buffers->records[list->count].address = start;
			list->buffers->records[list->count++].entry = entry;
		}
	}
	return 0;
}

static long list_pages(struct page_list *list, const char *maps)
{
	struct mapping mapping;
	long more;

	while ((more = maps_next(&maps, &mapping)) > 0) {
		// The vsyscall page is no mapping of the process, though it is listed. Files may have its name.
		if (mapping.start == VSYSCALL_START)
			continue;
		long error = list_range(list, mapping.start, mapping.end);

		if (error < 0)
			return error;
	}
	return more;
}

// Blob `pages`: address and raw pagemap entry of every page that is present or swapped out.
static long send_pages(int pid)
{
	const char *maps;
	struct page_list list = {
		.buffers = (struct page_buffers *)channel_buffer,
		.pagemap = (int)proc_open(pid, "pagemap"),
	};
	// Linux 6.12 opens none of a task without memory, whose maps are empty.
	long error = list.pagemap < 0 && list.pagemap != -ESRCH ? list.pagemap : proc_maps(pid, &maps);

	hash_start(&list.blob);
	if (error >= 0)
		error = list_pages(&list, maps);
	flush_pages(&list);
	blob_end("pages", &list.blob);
	sys_close(list.pagemap);
	return error;
}

// One that ends in `?` has no blob where the kernel has no such file.
static long send_proc_file(int pid, char *name)
{
	size_t last = text_length(name) - 1;
	bool is_optional = name[last] == '?';

	if (is_optional)
		name[last] = '\0';
	long fd = proc_open(pid, name);

	if (fd < 0)
		return is_optional && fd == -ENOENT && proc_state(pid) != '\0' ? 0 : fd;
	long error = blob_of_file(name, (int)fd, ~0ULL);

	SYS(close, fd);
	return error;
}

long command_observe(const struct command *command)
{
	int pid = (int)command->pid;
	char *names = command->what;

	while (*names != '\0') {
		char *name = names;

		while (*names != ',' && *names != '\0')
			names++;
		if (*names == ',')
			*names++ = '\0';
		long error = text_equal(name, "pages") ? send_pages(pid) : send_proc_file(pid, name);

		if (error < 0)
			return failed(error, "%s", name);
	}
	return 0;
}

#define HASHES_PER_ROUND 1024
#define UNREADABLE (~0ULL)

// The memory of a process. Before Linux 3.3 its tracer alone may read it.
struct memory {
	int fd;
	struct visit visit;
	bool is_visited;
};

static u64 page_hash(struct memory *memory, int pid, u64 address)
{
	u8 *page = channel_buffer;
	long length = memory->fd < 0 ? memory->fd : sys_pread(memory->fd, page, PAGE_BYTES, address);

	if (length == -ESRCH && !memory->is_visited && tracer_visit(&memory->visit, pid) == 0) {
		memory->is_visited = true;
		length = sys_pread(memory->fd, page, PAGE_BYTES, address);
	}
	if (length != (long)PAGE_BYTES)
		return UNREADABLE;
	return hash_of(page, PAGE_BYTES);
}

// Takes all addresses off the data port in any case, and gives a digest for each.
long command_pagehash(const struct command *command)
{
	static u64 words[HASHES_PER_ROUND];
	int pid = (int)command->pid;
	long error = proc_open(pid, "mem");
	struct memory memory = { .fd = (int)error };
	struct hash addresses;
	struct hash blob;

	hash_start(&addresses);
	hash_start(&blob);
	for (u64 left = command->count; left > 0;) {
		size_t part = left < HASHES_PER_ROUND ? (size_t)left : HASHES_PER_ROUND;

		data_read(words, part * 8);
		hash_update(&addresses, words, part * 8);
		for (size_t i = 0; i < part; i++)
			words[i] = page_hash(&memory, pid, words[i]);
		blob_write(&blob, words, part * 8);
		left -= part;
	}
	blob_end("pagehash", &blob);
	if (memory.is_visited)
		error = tracer_leave(&memory.visit, 0);
	sys_close(memory.fd);
	if (error >= 0 && !hash_is(&addresses, command->hash))
		return failed(-EBADMSG, "the addresses do not have the digest that was announced");
	return error;
}
