//! The CPU time of this process, for the benchmarks.

/// User and system time of all threads since the start of the process, in milliseconds. The resolution is better than
/// that of `/proc`, and the value can be printed at the end, when nobody can read `/proc` any more.
pub fn cpu_ms() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for the whole call, which only writes to it.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}
