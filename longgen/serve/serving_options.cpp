#include "longgen/serve/serving_options.h"

#include <chrono>

#include "longgen/base/check.h"
#include "longgen/base/host.h"
#include "longgen/base/units.h"
#include "longgen/device/gpu_memory.h"

namespace longgen {
namespace {

// Of the memory that is free, pages get as much; the rest is for activations and for others.
constexpr double kShareOfPages = 0.75;

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

ServingOptions with_defaults(ServingOptions options, const Decoder& decoder) {
  const at::Device device = decoder.device();
  if (!options.now) options.now = steady_seconds;
  if (!options.engine.max_kv_bytes) {
    const int64_t free =
        device.is_cuda() ? gpu_memory(device).free : machine_memory().available_bytes;
    LG_CHECK(free > 0,
             "[serve] the system does not say how much memory is free. Say how much the KV cache "
             "may take.");
    const int64_t of_others = device.is_cuda() ? 0 : options.host_cache_bytes;
    LG_CHECK(of_others < free, "[serve] the host shall keep ", format_bytes(of_others),
             " of the KV cache, but the machine has only ", format_bytes(free),
             " of memory that is free. Ask for less.");
    options.engine.max_kv_bytes =
        static_cast<int64_t>(kShareOfPages * static_cast<double>(free - of_others));
  }
  options.max_chunk = prefill_chunk(options.max_chunk, device);
  if (!options.overlaps) options.overlaps = device.is_cuda();
  options.schedule.copies_beside_steps = device.is_cuda();
  return options;
}

}  // namespace longgen
