// base/device_function.h: functions that a GPU runs and tests call on the CPU.
#pragma once

/// A function of the GPU where nvcc compiles it, an ordinary one elsewhere.
#ifdef __CUDACC__
#define LG_DEVICE __device__
#else
#define LG_DEVICE
#endif
