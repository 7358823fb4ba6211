// SPDX-License-Identifier: MIT
#include "agent.h"

#include <asm/poll.h>
#include <asm/termbits.h>
#include <asm/ioctls.h>

#define FLAG 0x7e
#define ESCAPE 0x7d
#define FLIP 0x20
#define KIND_ACK 2
#define HEADER_BYTES 2
#define DIGEST_BYTES 8
// The host may send a quarter of what the kernel keeps for a reader who is away (4095 bytes) at a time.
#define PAYLOAD_BYTES 2048
#define WINDOW 8
#define RESEND_MS 1000
#define DRAIN_MS 3000
#define POLL_MS 50

struct frame {
	u8 body[HEADER_BYTES + PAYLOAD_BYTES + DIGEST_BYTES];
	size_t length;
};

struct inbox {
	u8 bytes[1 << 16];
	size_t start;
	size_t end;
};

static int line = -1;
static struct inbox inboxes[2];
static struct frame sent[WINDOW];
static u8 oldest;     // the first frame that is not acknowledged
static u8 next;       // the number of the next frame
static s64 sent_at;   // when something was sent or acknowledged last
static u8 awaited;    // the number of the frame that the host sends next
static bool owes_ack;
static bool is_missed;   // the host awaits the oldest frame, though later ones came
static bool is_resent;   // since the oldest one was sent last

static size_t stuff(u8 *to, const u8 *bytes, size_t length)
{
	size_t at = 0;

	for (size_t i = 0; i < length; i++) {
		if (bytes[i] == FLAG || bytes[i] == ESCAPE) {
			to[at++] = ESCAPE;
			to[at++] = bytes[i] ^ FLIP;
		} else {
			to[at++] = bytes[i];
		}
	}
	return at;
}

static void put_digest(u8 *to, const u8 *bytes, size_t length)
{
	u64 digest = hash_of(bytes, length);

	memcpy(to, &digest, sizeof(digest));
}

static void send_frame(const struct frame *frame)
{
	static u8 stuffed[2 + 2 * sizeof(frame->body)];
	size_t length = 0;

	stuffed[length++] = FLAG;
	length += stuff(stuffed + length, frame->body, frame->length);
	stuffed[length++] = FLAG;
	port_write(line, stuffed, length);
}

static void make_frame(struct frame *frame, u8 kind, u8 number, const void *payload, size_t length)
{
	frame->body[0] = kind;
	frame->body[1] = number;
	memcpy(frame->body + HEADER_BYTES, payload, length);
	put_digest(frame->body + HEADER_BYTES + length, frame->body, HEADER_BYTES + length);
	frame->length = HEADER_BYTES + length + DIGEST_BYTES;
}

static void send_ack(void)
{
	struct frame ack;

	if (!owes_ack)
		return;
	owes_ack = false;
	make_frame(&ack, KIND_ACK, awaited, "", 0);
	send_frame(&ack);
}

// False when there is no room: the frame is then as if it had been lost.
static bool keep(struct inbox *inbox, const u8 *bytes, size_t length)
{
	if (inbox->start > 0) {
		memmove(inbox->bytes, inbox->bytes + inbox->start, inbox->end - inbox->start);
		inbox->end -= inbox->start;
		inbox->start = 0;
	}
	if (sizeof(inbox->bytes) - inbox->end < length)
		return false;
	memcpy(inbox->bytes + inbox->end, bytes, length);
	inbox->end += length;
	return true;
}

static void take_frame(const u8 *body, size_t length)
{
	u8 digest[DIGEST_BYTES];

	if (length < HEADER_BYTES + DIGEST_BYTES)
		return;
	length -= DIGEST_BYTES;
	put_digest(digest, body, length);
	if (memcmp(digest, body + length, DIGEST_BYTES) != 0)
		return;
	if (body[0] == KIND_ACK) {
		if ((u8)(body[1] - oldest) > (u8)(next - oldest))
			return;
		is_missed = body[1] == oldest;
		if (is_missed)
			return;
		sent_at = sys_milliseconds();
		is_resent = false;
		oldest = body[1];
	} else if (body[0] < KIND_ACK) {
		// One that came before is acknowledged again: the host has not heard.
		owes_ack = true;
		if (body[1] == awaited && keep(&inboxes[body[0]], body + HEADER_BYTES, length - HEADER_BYTES))
			awaited++;
	}
}

static void take_byte(u8 byte)
{
	static u8 body[HEADER_BYTES + PAYLOAD_BYTES + DIGEST_BYTES];
	static size_t length;
	static bool escaped;
	static bool broken = true;

	if (byte == FLAG) {
		if (!broken && !escaped && length > 0)
			take_frame(body, length);
		length = 0;
		escaped = broken = false;
	} else if (byte == ESCAPE) {
		escaped = true;
	} else if (length == sizeof(body)) {
		broken = true;
	} else {
		body[length++] = escaped ? byte ^ FLIP : byte;
		escaped = false;
	}
}

static void resend(void)
{
	bool is_due = (is_missed && !is_resent) || sys_milliseconds() - sent_at >= RESEND_MS;

	is_missed = false;
	if (oldest == next || !is_due)
		return;
	is_resent = true;
	sent_at = sys_milliseconds();
	for (u8 number = oldest; number != next; number++)
		send_frame(&sent[number % WINDOW]);
}

// Takes all that the line holds, answers it, and sends again what got lost.
static void serve(void)
{
	static u8 bytes[4096];

	for (;;) {
		long count = SYS(read, line, bytes, sizeof(bytes));

		if (count == 0) {
			// Nobody is at the other end any more.
			line = -1;
			power_off();
		}
		if (count < 0)
			break;
		for (long i = 0; i < count; i++)
			take_byte(bytes[i]);
	}
	send_ack();
	resend();
}

void serial_start(int fd)
{
	// Eight bits each way, and nothing in between that knows lines, echoes or signals.
	struct termios raw = {
		.c_cflag = B115200 | CS8 | CREAD | CLOCAL,
		.c_cc[VMIN] = 1,
	};

	SYS(ioctl, fd, TCSETS, &raw);
	line = fd;
}

bool serial_is_on(void)
{
	return line >= 0;
}

bool serial_wait(int channel, int fd, int ms)
{
	const struct inbox *inbox = &inboxes[channel];

	serve();
	if (inbox->end == inbox->start) {
		sys_poll(line, POLLIN, fd, ms);
		serve();
	}
	return inbox->end != inbox->start;
}

size_t serial_read(int channel, void *bytes, size_t length, int ms)
{
	struct inbox *inbox = &inboxes[channel];

	if (!serial_wait(channel, -1, ms))
		return 0;
	size_t count = inbox->end - inbox->start;

	if (count > length)
		count = length;
	memcpy(bytes, inbox->bytes + inbox->start, count);
	inbox->start += count;
	return count;
}

void serial_write(int channel, const void *bytes, size_t length)
{
	const u8 *at = bytes;

	while (length > 0) {
		size_t part = length < PAYLOAD_BYTES ? length : PAYLOAD_BYTES;

		while ((u8)(next - oldest) >= WINDOW) {
			sys_poll(line, POLLIN, -1, POLL_MS);
			serve();
		}
		if (oldest == next)
			sent_at = sys_milliseconds();
		make_frame(&sent[next % WINDOW], (u8)channel, next, at, part);
		send_frame(&sent[next % WINDOW]);
		next++;
		at += part;
		length -= part;
	}
}

void serial_drain(void)
{
	s64 start = sys_milliseconds();

	while (oldest != next && sys_milliseconds() - start < DRAIN_MS) {
		sys_poll(line, POLLIN, -1, POLL_MS);
		serve();
	}
}
