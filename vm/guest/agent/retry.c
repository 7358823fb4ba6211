// SPDX-License-Identifier: MIT
// `restarts`: many children call restart(2), each on the same image with one thing wrong, and are killed before they
// run. A host that asked for each alone would wait most of the time.
#include "agent.h"

#include <asm/ldt.h>
#include <asm/signal.h>
#include <linux/fs.h>
#include <linux/prctl.h>
#include <linux/wait.h>

#define TRIES_PER_ROUND 512
#define RESTART_STOPPED 1
#define NAME "retry"
#define NAME_BYTES 16
#define FIRST_LDT_SELECTOR 7
// Results beside 0, the errno of a refusal and RESTART_DIED.
#define CHANGED 2000
#define UNTOUCHED 3000
#define EXIT_CHANGED 255

// A try as the host has it in a word: the byte, what is flipped in it, and how it comes.
struct attempt {
	u64 offset;
	u8 mask; // 0: the image ends there
	enum { BY_FILE, BY_PIPE, BY_FAULT, SIGNALLED, KILLED, WRITTEN, TWICE } how;
};

// The image's file changes so often while it is read.
#define WRITES 300
#define MAX_TURNS 1000000

static struct attempt decode(u64 word)
{
	return (struct attempt){ word & 0xffffffffffff, (u8)(word >> 48), word >> 56 & 7 };
}

// What a child has that a call which fails must leave alone.
struct state {
	long brk;
	unsigned short selector;
};

static unsigned short extra_segment(void)
{
	unsigned short selector;

	asm volatile("mov %%es, %0" : "=r"(selector));
	return selector;
}

// A name, a signal handler, an LDT with a segment in use.
static void take_state(struct state *state)
{
	struct user_desc segment = { .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1, .useable = 1 };

	SYS(prctl, PR_SET_NAME, NAME);
	sys_sigaction(SIGUSR1, ignore_signal, 0);
	if (SYS(modify_ldt, 1, &segment, sizeof(segment)) == 0)
		asm volatile("mov %0, %%es" : : "r"((unsigned short)FIRST_LDT_SELECTOR));
	state->brk = SYS(brk, 0);
	state->selector = extra_segment();
}

static bool is_changed(const struct state *state, int image, bool is_file)
{
	struct kernel_sigaction action = { .handler = NULL };
	char name[NAME_BYTES] = "";
	bool has_segment = extra_segment() == state->selector;

	SYS(prctl, PR_GET_NAME, name);
	SYS(rt_sigaction, SIGUSR1, NULL, &action, sizeof(action.mask));
	return !has_segment || !text_equal(name, NAME) || SYS(brk, 0) != state->brk ||
	       action.handler != (void *)ignore_signal || (is_file && sys_seek(image, 0, SEEK_CUR) != 0);
}

// Whether the allocation that was to fail was never made.
static bool is_armed(long pid)
{
	char path[64];
	char text[24] = "";
	long length = sys_read_file(text_print(path, sizeof(path), "/proc/%ld/fail-nth", pid), text, sizeof(text));

	return length > 0 && text[0] != '0';
}

__attribute__((noreturn)) static void call(long nr, int image, const struct attempt *attempt)
{
	// Two callers of one file move its position.
	bool is_file = attempt->how != BY_PIPE && attempt->how != TWICE;
	struct state state;

	take_state(&state);
	if (attempt->how == BY_FAULT)
		arm_fault(attempt->offset);
	long result = SYS_CALL(nr, 0, image, RESTART_STOPPED, 0, 0, 0);

	SYS(exit_group, is_changed(&state, image, is_file) ? EXIT_CHANGED : (int)-result);
	__builtin_unreachable();
}

static s64 result_of(int status)
{
	if ((status & 0xff) == 0x7f)
		return 0;
	if (status_signal(status) != 0)
		return RESTART_DIED + status_signal(status);
	return (status >> 8 & 0xff) == EXIT_CHANGED ? CHANGED : -(status >> 8 & 0xff);
}

static void spin(u64 turns)
{
	for (volatile u64 left = turns % MAX_TURNS; left > 0; left--)
		;
}

// What another process does while `child` calls: it sends a signal some time later, or changes bytes of the file and
// changes them back.
static void meddle(const char *path, const struct attempt *attempt, long child)
{
	u64 chance = attempt->offset;
	int file = (int)SYS(open, path, O_RDWR | O_CLOEXEC);
	u64 size = (u64)sys_seek(file, 0, SEEK_END);
	u8 byte;

	if (attempt->how != WRITTEN) {
		spin(chance);
		SYS(kill, child, attempt->how == KILLED ? SIGKILL : SIGUSR1);
		SYS(exit_group, 0);
	}
	for (int i = 0; i < WRITES; i++) {
		chance = chance * 6364136223846793005ULL + 1442695040888963407ULL;
		u64 at = (chance >> 33) % size;

		sys_pread(file, &byte, 1, at);
		for (u8 flip = 1 << (chance >> 30 & 7), twice = 0; twice < 2; twice++) {
			byte ^= flip;
			sys_seek(file, at, SEEK_SET);
			SYS(write, file, &byte, 1);
			spin(chance >> 24 & 0xff);
		}
	}
	SYS(exit_group, 0);
}

// Two at once from one image: each is restarted, but where they share the file's position (`offset` is odd) the second
// one begins behind TAIL.
static s64 attempt_twice(const struct command *command, const struct attempt *attempt)
{
	bool shares = attempt->offset % 2 == 1;
	long children[2];
	s64 results[2];
	int files[2];
	int status;

	for (int i = 0; i < 2; i++) {
		files[i] = i > 0 && shares ? files[0] : (int)SYS(open, command->image, O_RDONLY | O_CLOEXEC);
		children[i] = SYS(fork);
		if (children[i] == 0)
			call((long)command->nr, files[i], attempt);
	}
	for (int i = 0; i < 2; i++) {
		sys_wait(children[i], &status, WUNTRACED);
		results[i] = result_of(status);
		if (results[i] == 0) {
			SYS(kill, children[i], SIGKILL);
			sys_wait(children[i], &status, 0);
		}
	}
	SYS(close, files[0]);
	if (!shares)
		SYS(close, files[1]);
	s64 worse = results[0] == 0 ? results[1] : results[0];
	s64 other = results[0] == 0 ? results[0] : results[1];

	// Nothing else may have gone wrong.
	return shares && worse == -EPIPE ? other : worse;
}

static s64 attempt_once(const struct command *command, const struct attempt *attempt)
{
	int ends[2] = { -1, -1 };
	int status = 0;
	long feeder = 0;

	if (attempt->how == TWICE)
		return attempt_twice(command, attempt);
	if (attempt->how == BY_PIPE) {
		u64 length = attempt->mask == 0 ? attempt->offset : NEVER;

		sys_pipe(ends, O_CLOEXEC);
		feeder = feed_pipe(command->image, ends, length);
		SYS(close, ends[1]);
	} else {
		ends[0] = (int)SYS(open, command->image, O_RDONLY | O_CLOEXEC);
	}
	long child = SYS(fork);

	if (child == 0)
		call((long)command->nr, ends[0], attempt);
	SYS(close, ends[0]);
	if (attempt->how > BY_FAULT)
		feeder = SYS(fork);
	if (attempt->how > BY_FAULT && feeder == 0)
		meddle(command->image, attempt, child);
	sys_wait(child, &status, WUNTRACED);
	s64 result = result_of(status);

	if (result == 0) {
		if (attempt->how == BY_FAULT && is_armed(child))
			result = UNTOUCHED;
		SYS(kill, child, SIGKILL);
		sys_wait(child, &status, 0);
	}
	if (feeder > 0)
		sys_wait(feeder, &status, 0);
	return result;
}

static s64 try_word(const struct command *command, int file, u64 word)
{
	struct attempt attempt = decode(word);
	u8 byte = 0;

	if (attempt.mask == 0)
		return attempt_once(command, &attempt);
	sys_pread(file, &byte, 1, attempt.offset);
	byte ^= attempt.mask;
	sys_seek(file, attempt.offset, SEEK_SET);
	SYS(write, file, &byte, 1);
	s64 result = attempt_once(command, &attempt);

	byte ^= attempt.mask;
	sys_seek(file, attempt.offset, SEEK_SET);
	SYS(write, file, &byte, 1);
	return result;
}

long command_restarts(const struct command *command)
{
	static u64 words[TRIES_PER_ROUND];
	int file = (int)SYS(open, command->image, O_RDWR | O_CLOEXEC);
	struct hash tries;
	struct hash blob;

	hash_start(&tries);
	hash_start(&blob);
	for (u64 left = command->count; left > 0;) {
		size_t part = left < TRIES_PER_ROUND ? (size_t)left : TRIES_PER_ROUND;

		data_read(words, part * 8);
		hash_update(&tries, words, part * 8);
		for (size_t i = 0; i < part; i++)
			words[i] = (u64)try_word(command, file, words[i]);
		blob_write(&blob, words, part * 8);
		left -= part;
	}
	blob_end("restarts", &blob);
	if (file >= 0)
		SYS(close, file);
	if (!hash_is(&tries, command->hash))
		return failed(-EBADMSG, "the tries do not have the digest that was announced");
	return file < 0 ? failed(file, "%s", command->image) : 0;
}
