#include "longgen/api/model_options.h"

#include <charconv>
#include <string_view>

#include "longgen/base/check.h"
#include "longgen/base/cpu_features.h"
#include "longgen/base/threads.h"

namespace longgen {

std::string ModelOptions::compute_dtype() const {
  if (dtype != "auto") return dtype;
  return gpu_index(device) || bfloat16_is_faster() ? "bfloat16" : "float32";
}

std::optional<int> gpu_index(const std::string& device) {
  if (device == "cuda") return 0;
  constexpr std::string_view kPrefix = "cuda:";
  if (!device.starts_with(kPrefix)) return std::nullopt;
  const std::string digits = device.substr(kPrefix.size());
  int index = 0;
  const char* const end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, index);
  const bool is_index = error == std::errc() && rest == end && std::to_string(index) == digits;
  return is_index && index >= 0 ? std::optional(index) : std::nullopt;
}

void ModelOptions::check() const {
  LG_CHECK(device == "cpu" || gpu_index(device), "device: expected cpu, cuda or cuda:N, found \"",
           device, "\".");
  LG_CHECK(dtype == "auto" || dtype == "float32" || dtype == "bfloat16",
           "dtype: expected auto, float32 or bfloat16, found \"", dtype, "\".");
  LG_CHECK(threads >= 0 && threads <= kMaxThreads, "threads: expected a number from 0 to ",
           kMaxThreads, ", found ", threads, ".");
}

}  // namespace longgen
