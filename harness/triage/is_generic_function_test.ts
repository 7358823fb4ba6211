// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { isGenericFunction } from "./is_generic_function.ts";

Deno.test("isGenericFunction() knows the machinery of reports, allocators, locks and checks", () => {
  const generic =
    "dump_stack_lvl kasan_report __asan_load8 kmalloc_trace __kmalloc kfree kmem_cache_alloc_node " +
    "__kmem_cache_free get_zeroed_page __mutex_lock mutex_lock_nested down_read rwsem_down_read_slowpath " +
    "_raw_spin_lock_irqsave __might_resched.cold schedule schedule_timeout __schedule_bug.cold memcpy memcpy_orig " +
    "__list_del_entry_valid.cold refcount_warn_saturate usercopy_abort _copy_to_user check_noncircular lock_acquire " +
    "panic exc_page_fault asm_exc_page_fault native_write_msr free_pcppages_bulk.isra.0 ____kasan_slab_free";
  for (const name of generic.split(" ")) assertEquals(isGenericFunction(name), true, name);
});

Deno.test("isGenericFunction() lets all other functions be at fault", () => {
  const own =
    "cr_write_mm cr_kwrite cr_ctx_free do_task_dead pipe_write vfs_write zap_pte_range put_timespec64 " +
    "do_exit get_user_pages handle_mm_fault __x64_sys_checkpoint do_syscall_64 kthread copy_page_range " +
    "schedule_work_of_mine lock_page_memcg panicky memory_of_mine string_of_mine find_vma";
  for (const name of own.split(" ")) assertEquals(isGenericFunction(name), false, name);
});
