//! A stand-in for NVIDIA's management library, for tests of programs that load the real one: under the name
//! `libnvidia-ml.so.1` in a folder of `LD_LIBRARY_PATH`, an unchanged binary finds the GPUs that a scenario describes.
//!
//! The scenario is a JSON file that `SQUALL_TEST_NVML` names. Functions that the house does not call are not here, and
//! whoever calls them is told that they are missing, as by an old driver. Signatures and numbers are those of `nvml.h`.

#![expect(unsafe_code, reason = "its functions are called as C, by pointers")]

use serde::Deserialize;
use std::ffi::{c_char, c_uint, c_ulonglong};
use std::sync::OnceLock;
use std::time::Duration;

const SUCCESS: c_uint = 0;
const INVALID_ARGUMENT: c_uint = 2;
const INSUFFICIENT_SIZE: c_uint = 7;
const DRIVER_NOT_LOADED: c_uint = 9;
const GPU_IS_LOST: c_uint = 15;
const UNKNOWN: c_uint = 999;

/// What the machine is to look like.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// The library is installed, and the driver does not run.
    #[serde(default)]
    driver_not_loaded: bool,
    /// Every answer takes so long.
    #[serde(default)]
    delay_ms: u64,
    #[serde(default)]
    gpus: Vec<Gpu>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gpu {
    name: String,
    memory_bytes: u64,
    /// It has fallen off the bus: it is counted, and answers nothing.
    #[serde(default)]
    lost: bool,
}

/// As `nvml.h` has it.
#[repr(C)]
pub struct Memory {
    version: c_uint,
    total: c_ulonglong,
    reserved: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

/// A GPU's number, from one, in the place of a pointer.
type Device = usize;

/// Read once: a scenario does not change under a process.
static SCENARIO: OnceLock<Option<Scenario>> = OnceLock::new();

/// The scenario, after its delay; none where the file says nothing that can be understood.
fn scenario() -> Option<&'static Scenario> {
    let read = || serde_json::from_str(&std::fs::read_to_string(std::env::var_os("SQUALL_TEST_NVML")?).ok()?).ok();
    let scenario = SCENARIO.get_or_init(read).as_ref()?;
    std::thread::sleep(Duration::from_millis(scenario.delay_ms));
    Some(scenario)
}

/// A GPU that answers.
fn gpu(device: Device) -> Result<&'static Gpu, c_uint> {
    let gpu = scenario().and_then(|scenario| scenario.gpus.get(device.checked_sub(1)?)).ok_or(INVALID_ARGUMENT)?;
    if gpu.lost { Err(GPU_IS_LOST) } else { Ok(gpu) }
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> c_uint {
    match scenario() {
        None => UNKNOWN,
        Some(scenario) if scenario.driver_not_loaded => DRIVER_NOT_LOADED,
        Some(_) => SUCCESS,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> c_uint {
    SUCCESS
}

/// # Safety
/// `count` is null or points to a number that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> c_uint {
    let (Some(scenario), false) = (scenario(), count.is_null()) else { return INVALID_ARGUMENT };
    // SAFETY: the caller's promise, and it is not null.
    unsafe { count.write(scenario.gpus.len() as c_uint) };
    SUCCESS
}

/// # Safety
/// `device` is null or points to a handle that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, device: *mut Device) -> c_uint {
    if device.is_null() {
        return INVALID_ARGUMENT;
    }
    let number = index as Device + 1;
    match gpu(number) {
        Ok(_) => {
            // SAFETY: the caller's promise, and it is not null.
            unsafe { device.write(number) };
            SUCCESS
        }
        Err(code) => code,
    }
}

/// # Safety
/// `name` is null or points to `length` bytes that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetName(device: Device, name: *mut c_char, length: c_uint) -> c_uint {
    let gpu = match gpu(device) {
        Ok(gpu) => gpu,
        Err(code) => return code,
    };
    let bytes = gpu.name.as_bytes();
    if name.is_null() {
        return INVALID_ARGUMENT;
    }
    if bytes.len() >= length as usize {
        return INSUFFICIENT_SIZE;
    }
    // SAFETY: the caller's promise; the name and its zero fit, as was just seen.
    unsafe {
        name.copy_from_nonoverlapping(bytes.as_ptr().cast(), bytes.len());
        name.add(bytes.len()).write(0);
    }
    SUCCESS
}

/// # Safety
/// `memory` is null or points to a structure of this version that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: Device, memory: *mut Memory) -> c_uint {
    let gpu = match gpu(device) {
        Ok(gpu) => gpu,
        Err(code) => return code,
    };
    if memory.is_null() {
        return INVALID_ARGUMENT;
    }
    // SAFETY: the caller's promise, and it is not null.
    let memory = unsafe { &mut *memory };
    (memory.total, memory.reserved, memory.free, memory.used) = (gpu.memory_bytes, 0, gpu.memory_bytes, 0);
    SUCCESS
}
