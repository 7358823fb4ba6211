// SPDX-License-Identifier: GPL-2.0
/*
 *  Restart: files that are mapped
 */

#define pr_fmt(fmt) "c/r: " fmt

#include <linux/checkpoint.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/kdev_t.h>
#include <linux/major.h>
#include <linux/mman.h>
#include <linux/namei.h>
#include <linux/path.h>
#include <linux/security.h>
#include <linux/string.h>

#include "checkpoint_compat.h"
#include "restart.h"
#include "restart_compat.h"

#define CR_ZERO_MINOR	5	/* /dev/zero */

/* a path from the root directory, with a name between any two slashes */
static bool cr_is_full_path(const char *name)
{
	size_t len;

	if (*name != '/')
		return false;
	if (!name[1])
		return true;
	while (*name) {
		name++;
		len = strcspn(name, "/");
		if (!len || (len == 1 && *name == '.') ||
		    (len == 2 && name[0] == '.' && name[1] == '.'))
			return false;
		name += len;
	}
	return true;
}

/* read the name of a mapped file into @r->fname */
static int cr_read_fname(struct cr_restart *r)
{
	struct cr_hdr h;
	int ret;

	ret = cr_kread(r, &h, sizeof(h));
	if (ret)
		return ret;
	if (h.type != CR_HDR_FNAME || h.parent || h.len < 2 || h.len > PATH_MAX)
		return -EINVAL;

	ret = cr_kread(r, r->fname, h.len);
	if (ret)
		return ret;
	if (strnlen(r->fname, h.len) != h.len - 1 ||
	    !cr_is_full_path(r->fname))
		return -EINVAL;
	return 0;
}

/*
 * To open a pipe may take for ever, and to open a device does what nobody
 * knows: the only one of them whose mappings are private memory is /dev/zero.
 */
static bool cr_is_mapped_type(const struct inode *inode)
{
	return S_ISREG(inode->i_mode) ||
	       (S_ISCHR(inode->i_mode) &&
		inode->i_rdev == MKDEV(MEM_MAJOR, CR_ZERO_MINOR));
}

/**
 * cr_open_mapped - read the name of a mapped file, and open it
 * @r: restart context
 *
 * The name is looked up as open(2) does, from the caller's root directory, and
 * the caller must be allowed to read the file.
 *
 * Return: the file, or an error pointer.
 */
struct file *cr_open_mapped(struct cr_restart *r)
{
	struct file *file;
	struct path path;
	int ret;

	ret = cr_read_fname(r);
	if (ret)
		return ERR_PTR(ret);
	ret = kern_path(r->fname, 0, &path);
	if (ret)
		return ERR_PTR(ret);

	/* what was looked at is what is opened */
	if (cr_is_mapped_type(d_backing_inode(path.dentry)))
		file = cr_open_path(&path, O_RDONLY | O_LARGEFILE);
	else
		file = ERR_PTR(-EACCES);
	path_put(&path);
	return file;
}

/**
 * cr_file_mappable - would mmap(2) map the file so?
 * @file: file
 * @hh: how it was mapped
 *
 * Return: 0, or an error.
 */
int cr_file_mappable(struct file *file, const struct cr_hdr_vma *hh)
{
	u64 size = hh->vm_end - hh->vm_start;
	u64 max = MAX_LFS_FILESIZE;
	unsigned long prot = 0;

	if (!file->f_op->mmap)
		return -ENODEV;
	if (is_file_hugepages(file))
		return -EOPNOTSUPP;
	if (path_noexec(&file->f_path) && hh->vm_flags & (VM_EXEC | VM_MAYEXEC))
		return -EPERM;
	/* others must not be kept from writing to what could not be executed */
	if (hh->vm_flags & CR_VM_DENYWRITE && cr_file_permission(file, MAY_EXEC))
		return -EACCES;

	if (S_ISREG(file_inode(file)->i_mode) &&
	    (size > max || hh->vm_pgoff > (max - size) >> PAGE_SHIFT))
		return -EOVERFLOW;

	if (hh->vm_flags & VM_READ)
		prot |= PROT_READ;
	if (hh->vm_flags & VM_WRITE)
		prot |= PROT_WRITE;
	if (hh->vm_flags & VM_EXEC)
		prot |= PROT_EXEC;
	return security_mmap_file(file, prot, MAP_PRIVATE);
}
