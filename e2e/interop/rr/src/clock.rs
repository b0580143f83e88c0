//! A wall clock that is wrong by a number of seconds. libp2p compares the expiry of a reservation with the wall clock of
//! the process, and a time namespace can only shift the monotonic clock.

use std::sync::atomic::{AtomicI64, Ordering};

use libc::{CLOCK_REALTIME, SYS_clock_gettime, c_int, c_long, clockid_t, syscall, timespec};

static SHIFT_SECONDS: AtomicI64 = AtomicI64::new(0);

/// Adds these seconds to the wall clock from now on.
pub fn shift(seconds: i64) {
    SHIFT_SECONDS.store(seconds, Ordering::Relaxed);
}

/// Replaces the function of libc, from which the standard library reads its clocks.
///
/// # Safety
/// `time` must point to a `timespec`, as for the function of libc.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    // SAFETY: the caller passes a valid pointer, which the kernel fills.
    unsafe {
        let result: c_long = syscall(SYS_clock_gettime, clock, time);
        if result == 0 && clock == CLOCK_REALTIME {
            (*time).tv_sec += SHIFT_SECONDS.load(Ordering::Relaxed);
        }
        result as c_int
    }
}
