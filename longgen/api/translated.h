// api/translated.h: the library's promise on errors, kept where torch breaks it.
#pragma once

#include <c10/util/Exception.h>

#include <utility>

#include "longgen/base/check.h"
#include "longgen/device/gpu_memory.h"

namespace longgen {

/// Runs what a public function does, and throws torch's errors as Error, without the stack trace.
template <typename Function>
decltype(auto) translated(Function&& function) {
  try {
    return std::forward<Function>(function)();
  } catch (const c10::OutOfMemoryError&) {
    throw Error(out_of_gpu_memory() + " Use a shorter text or a smaller prefill_chunk.");
  } catch (const c10::Error& error) {
    throw Error(error.what_without_backtrace());
  }
}

}  // namespace longgen
