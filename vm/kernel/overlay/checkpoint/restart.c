// SPDX-License-Identifier: GPL-2.0
/*
 *  Restart: the stream of records
 */

#define pr_fmt(fmt) "c/r: " fmt

#include <linux/checkpoint.h>
#include <linux/checkpoint_restart.h>
#include <linux/limits.h>
#include <linux/rwsem.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/threads.h>
#include <linux/uio.h>
#include <linux/utsname.h>

#include "checkpoint_compat.h"
#include "restart.h"

/**
 * cr_read_iter - read data of the image into kernel memory
 * @r: restart context
 * @data: where to; left as it is
 *
 * All of it is read, or an error is returned. Each byte is read once: another
 * look might see another image. A signal that waits for the caller ends it.
 *
 * Return: 0, -EPIPE if the image ends before, or another error.
 */
int cr_read_iter(struct cr_restart *r, const struct iov_iter *data)
{
	size_t count = iov_iter_count(data);
	size_t done = 0;

	while (done < count) {
		struct iov_iter iter = *data;
		ssize_t n;
		int ret;

		ret = cr_signal_check();
		if (ret)
			return ret;

		/* how far a short read moves its iterator is not defined */
		iov_iter_advance(&iter, done);

		n = vfs_iter_read(r->file, &iter, r->ppos, 0);
		if (n < 0) {
			if (cr_is_interrupt(n) && !task_sigpending(current))
				continue;
			return n;
		}
		if (n == 0)
			return -EPIPE;
		done += n;
		cond_resched();
	}

	return 0;
}

/**
 * cr_kread - read bytes of the image into a buffer
 * @r: restart context
 * @buf: buffer
 * @count: its length
 *
 * Return: 0, or an error.
 */
int cr_kread(struct cr_restart *r, void *buf, size_t count)
{
	struct kvec kvec = { .iov_base = buf, .iov_len = count };
	struct iov_iter iter;

	iov_iter_kvec(&iter, READ, &kvec, 1, count);
	return cr_read_iter(r, &iter);
}

/**
 * cr_read_obj - read a record
 * @r: restart context
 * @type: what it must be
 * @parent: whom it must belong to
 * @buf: buffer
 * @len: length that it must have
 *
 * Return: 0, -EINVAL for any other record, or another error.
 */
int cr_read_obj(struct cr_restart *r, int type, u32 parent, void *buf, int len)
{
	struct cr_hdr h;
	int ret;

	ret = cr_kread(r, &h, sizeof(h));
	if (ret)
		return ret;
	if (h.type != type || h.len != len || h.parent != parent)
		return -EINVAL;
	return cr_kread(r, buf, len);
}

/* was the image written by the very kernel that runs? */
static bool cr_is_this_kernel(const struct cr_hdr_head *hh)
{
	const struct new_utsname *uts;
	bool same;

	if (hh->major != LINUX_VERSION_MAJOR ||
	    hh->minor != LINUX_VERSION_PATCHLEVEL ||
	    hh->patch != LINUX_VERSION_SUBLEVEL)
		return false;

	down_read(&uts_sem);
	uts = utsname();
	same = !memcmp(hh->release, uts->release, sizeof(hh->release)) &&
	       !memcmp(hh->version, uts->version, sizeof(hh->version)) &&
	       !memcmp(hh->machine, uts->machine, sizeof(hh->machine));
	up_read(&uts_sem);

	return same;
}

/*
 * Programs keep addresses inside the vdso, flags of mappings are raw: an image
 * is good for the build that wrote it, and for no other.
 */
static int cr_read_head(struct cr_restart *r)
{
	struct cr_hdr_head hh;
	int ret;

	ret = cr_read_obj(r, CR_HDR_HEAD, 0, &hh, sizeof(hh));
	if (ret)
		return ret;
	if (hh.magic != CR_HDR_HEAD_MAGIC || hh.rev != CR_VERSION ||
	    hh.flags != CR_CTX_CKPT)
		return -EINVAL;
	return cr_is_this_kernel(&hh) ? 0 : -ENOEXEC;
}

static int cr_read_task(struct cr_restart *r)
{
	struct cr_hdr_task hh;
	size_t len;
	int ret;

	ret = cr_read_obj(r, CR_HDR_TASK, 0, &hh, sizeof(hh));
	if (ret)
		return ret;
	/* how it was stopped, and who was to hear of its end, is the past */
	if (hh.exit_state || hh.task_comm_len != sizeof(r->comm) || hh._padding)
		return -EINVAL;

	ret = cr_read_obj(r, CR_HDR_STRING, 0, r->comm, sizeof(r->comm));
	if (ret)
		return ret;
	len = strnlen(r->comm, sizeof(r->comm));
	if (len == sizeof(r->comm) ||
	    memchr_inv(r->comm + len, 0, sizeof(r->comm) - len))
		return -EINVAL;
	return 0;
}

/**
 * cr_read_pid_obj - read the first record that names the process
 * @r: restart context; @r->pid becomes what it was called
 * @type: what it must be
 * @buf: buffer
 * @len: length that it must have
 *
 * Return: 0, -EINVAL for any other record, or another error.
 */
int cr_read_pid_obj(struct cr_restart *r, int type, void *buf, int len)
{
	struct cr_hdr h;
	int ret;

	ret = cr_kread(r, &h, sizeof(h));
	if (ret)
		return ret;
	if (h.type != type || h.len != len || !h.parent ||
	    h.parent > PID_MAX_LIMIT)
		return -EINVAL;
	r->pid = h.parent;
	return cr_kread(r, buf, len);
}

/* a record that is not known here says nothing that this kernel could use */
static int cr_skip(struct cr_restart *r, unsigned int len)
{
	unsigned int n;
	int ret;

	for (; len; len -= n) {
		n = min_t(unsigned int, len, PATH_MAX);
		ret = cr_kread(r, r->fname, n);
		if (ret)
			return ret;
	}
	return 0;
}

/* what follows it is not looked at: a stream may go on */
static int cr_read_tail(struct cr_restart *r)
{
	struct cr_hdr_tail hh;
	struct cr_hdr h;
	int ret;

	for (;;) {
		ret = cr_kread(r, &h, sizeof(h));
		if (ret)
			return ret;
		if (h.type == CR_HDR_TAIL)
			break;
		if (h.type <= CR_HDR_SIGACTION || h.len < 0 || h.parent != r->pid)
			return -EINVAL;
		ret = cr_skip(r, h.len);
		if (ret)
			return ret;
	}

	if (h.len != sizeof(hh) || h.parent)
		return -EINVAL;
	ret = cr_kread(r, &hh, sizeof(hh));
	if (ret)
		return ret;
	return hh.magic == CR_HDR_TAIL_MAGIC ? 0 : -EINVAL;
}

/**
 * do_restart - read an image to its end
 * @r: restart context
 *
 * Return: 0: all is there and cr_commit() may follow; or an error.
 */
int do_restart(struct cr_restart *r)
{
	int ret;

	ret = cr_read_head(r);
	if (ret)
		return ret;
	ret = cr_read_head_arch(r);
	if (ret)
		return ret;
	ret = cr_read_task(r);
	cr_debug("task: ret %d\n", ret);
	if (ret)
		return ret;
	ret = cr_restore_mm(r);
	cr_debug("memory: ret %d\n", ret);
	if (ret)
		return ret;
	ret = cr_read_thread(r);
	cr_debug("thread: ret %d\n", ret);
	if (ret)
		return ret;
	ret = cr_read_cpu(r);
	cr_debug("cpu: ret %d\n", ret);
	if (ret)
		return ret;
	ret = cr_read_auxv(r);
	cr_debug("auxv: ret %d\n", ret);
	if (ret)
		return ret;
	ret = cr_read_signals(r);
	cr_debug("signals: ret %d\n", ret);
	if (ret)
		return ret;
	return cr_read_tail(r);
}
