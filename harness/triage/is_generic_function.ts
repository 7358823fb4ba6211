// SPDX-License-Identifier: MIT

import { plainFunction } from "./splat.ts";

/**
 * Functions that stand at the top of a stack because something was reported or asked for there, not because
 * they are at fault: the code below them is. By the part of the kernel that they belong to.
 */
const GENERIC: readonly string[] = [
  // Reporting: lib/dump_stack.c, kernel/panic.c, lib/bug.c, arch/x86/kernel/{dumpstack,traps}.c,
  // arch/x86/mm/fault.c.
  "(__)?(dump_stack|show_stack|show_trace|show_regs|print_report|report_bug|handle_bug).*|(nmi_)?panic",
  "__warn.*|warn_slowpath_.*|__die.*|die|die_.*|oops_.*|page_fault_oops|no_context|(__)?bad_area.*|mm_fault_error",
  "(asm_)?exc_.*|do_(error_)?trap.*|do_(user|kern)_addr_fault|(do|handle)_page_fault|kernelmode_.*|math_error",
  "asm_sysvec_.*|(__)?sysvec_.*|error_entry|common_exception|handle_exception|end_repeat_nmi|asm_common_.*",
  "do_int3.*|do_invalid_op|invalid_op|page_fault|fixup_.*|ex_handler_.*|native_(read|write)_msr.*",
  "(do_)?trace_.*_msr",
  "nmi_.*|(arch_)?trigger_.*backtrace.*|watchdog_.*|perf_event_overflow.*|__perf_event_overflow",
  "rdmsr.*|wrmsr.*|print_(bad|circular|usage|lock|address|trailer|irq|deadlock|collision|freed|unlock).*",
  // Sanitizers: mm/kasan, mm/kfence, lib/ubsan.c, mm/kmemleak.c.
  "_*(kasan|asan|kmsan|msan|tsan|kcsan|ubsan|kfence|kmemleak)_.*|check_memory_region.*|check_region_.*",
  "__stack_chk_fail|end_report|start_report|val_to_string|stack_trace_.*|(__)?save_stack.*|set_track.*",
  "(__)?stack_depot_.*|create_object",
  // Allocators: mm/slub.c, mm/slab_common.c, mm/page_alloc.c, mm/vmalloc.c, mm/util.c.
  "_*k[mvz]?v?[mcz]?alloc.*|_*kv?realloc.*|kmemdup.*|kstr(n)?dup.*|memdup_user.*|vmemdup_user|kv?free.*|_*kfree.*",
  "_*kmem_cache_.*|_*kmem_.*|_*slab_.*|do_slab_free|_*(new|alloc(ate)?|free)_slab.*|_*v(m|z)alloc.*",
  "vfree.*|_*vunmap.*",
  "_*alloc_pages?.*|_*free_(pages?|unref_page).*|_*get_free_pages?|get_zeroed_page.*|get_page_from_freelist",
  "free_pcp.*|free_pcppages.*|prep_new_page|rmqueue.*|_*folio_alloc.*|alloc_folio.*|vma_alloc_folio",
  "bad_page.*|check_(new|free)_pages?.*|warn_alloc.*|out_of_memory|oom_kill.*|(oom_)?dump_header",
  "pagefault_out_of_memory",
  "check_(object|slab|bytes).*|(slab|object)_err|(free|alloc)_(consistency_checks|debug_processing).*",
  "restore_bytes",
  "mempool_(alloc|free).*|_*put_page|put_page_testzero|page_ref_.*",
  // Locks: kernel/locking, include/linux/rcupdate.h.
  "_*lock_(acquire|release|is_held|held)d?.*|validate_chain",
  "check_(non?_?cir|prev|deadlock|irq|wait|usage|bound).*|mark_(lock|held|usage).*",
  "lockdep_.*|debug_check_no_.*|register_lock_class|_*lock_(set|pin|unpin|downgrade).*|debug_locks_off",
  "_*(raw_)?(spin|read|write|rw)_(un)?(try)?lock.*|(do_)?_*raw_(spin|read|write)_.*",
  "(native_)?queued_(spin|read|write)_.*",
  "_*mutex_(un)?(try)?lock.*|_*ww_mutex_.*|_*rt_mutex_.*",
  "_*(down|up)(_(read|write|interruptible|killable|try|timeout).*)?|rwsem_.*|downgrade_write",
  "_*wait_for_common.*|wait_for_completion.*|do_wait_for_common|percpu_(down|up)_.*|_*local_bh_(en|dis)able.*",
  "_*rcu_(read_(un)?lock|dereference|is_watching|lockdep|sched_clock|check|note|dump|pending|preempt|qs).*",
  "print_(other_)?cpu_stall.*",
  // The scheduler and time: who sleeps is at fault, not schedule().
  "_*might_(sleep|resched|fault).*|_*cond_resched.*|_*schedule(_(timeout|preempt|bug|debug|hr|idle).*)?",
  "preempt_schedule.*|io_schedule.*",
  "check_preemption_disabled|(debug_|_*)?smp_processor_id|_*this_cpu_preempt_check|preempt_count_(add|sub)",
  "update_process_times|tick_.*|_*hrtimer_.*|local_apic_timer.*|scheduler_tick|(__)?do_softirq.*",
  "(__)?irq_exit.*|handle_softirqs",
  "delay_.*|_*delay|_*(const_)?udelay|native_(safe_halt|irq_.*|save_fl)|arch_local_.*|cpu_relax",
  "smp_call_function.*|generic_exec_.*",
  // Checks of data: lib/refcount.c, lib/list_debug.c, lib/debugobjects.c, mm/usercopy.c.
  "refcount_.*|_*list_(add|del)_.*|_*debug_(object|print_object|check).*|debug_object_.*",
  "usercopy_.*|_*check_(object_size|heap_object|copy_size|page_span|kernel_text_object).*|_*check_stack_object",
  "_*(raw_)?copy_(to|from|in)_(user|kernel).*|_*copy_user_.*|(strn)?copy_from_.*_nofault|_*clear_user.*",
  "_*(get|put)_user(_(nocheck_|asm_)?\\w?\\d)?|rep_.*|bad_get_user",
  // Strings and bits.
  "_*(mem(cpy|set|move|cmp|chr|scan)|str(n?len|n?cpy|scpy|n?cmp|n?cat|chr|rchr|str))(_.*)?|clear_page.*",
  "copy_page(_(rep|regs))?",
  "_*find_(next|first|last)_.*bit.*",
  "(arch_|atomic_|atomic64_)(inc|dec|add|sub|set|read|fetch|cmpxchg|test)_?.*",
  "(test|set|clear|change)_(and_(set|clear)_)?bit",
];

const PATTERN = new RegExp(`^(?:${GENERIC.join("|")})$`);

/** Whether a function is machinery: its callers are what a report is about. */
export function isGenericFunction(name: string): boolean {
  return PATTERN.test(plainFunction(name));
}
