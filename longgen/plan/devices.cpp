#include "longgen/plan/devices.h"

#include "longgen/base/check.h"
#include "longgen/base/nearest_name.h"

namespace longgen {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr double kTera = 1e12;
constexpr double kGiga = 1e9;
// A 7B shape after 2,048 tokens, one H200: steps of 4.09 ms, of which reading takes 3.42 ms.
constexpr double kStepOfLayer = 21e-6;

/// Memory is what nvidia-smi reports as total on that card: the "GB" of a data sheet are neither
/// 10^9 nor 2^30 bytes. Tensor rates are those without 2:4 sparsity.
std::vector<DeviceSpec> make_devices() {
  const std::string sheet = "NVIDIA data sheet; memory as nvidia-smi reports it";
  return {
      {"h200", "NVIDIA H200 SXM, 141 GB HBM3e", 143771 * kMiB, 989 * kTera, 67 * kTera, 4.8 * kTera,
       "H200: " + sheet + " (bf16: half of the 1,979 with sparsity)", " H200", "9.0", kStepOfLayer},
      {"h100", "NVIDIA H100 SXM, 80 GB HBM3", 81559 * kMiB, 989 * kTera, 67 * kTera, 3.35 * kTera,
       "H100: " + sheet + " (bf16: half of the 1,979 with sparsity)", " H100 80GB HBM3", "9.0",
       kStepOfLayer},
      {"a100-80g", "NVIDIA A100 SXM, 80 GB HBM2e", 81920 * kMiB, 312 * kTera, 19.5 * kTera,
       2039 * kGiga, "A100: " + sheet, " A100-SXM4-80GB", "8.0"},
      {"a100-40g", "NVIDIA A100 SXM, 40 GB HBM2", 40960 * kMiB, 312 * kTera, 19.5 * kTera,
       1555 * kGiga, "A100: " + sheet, " A100-SXM4-40GB", "8.0"},
      {"l40s", "NVIDIA L40S, 48 GB GDDR6", 46068 * kMiB, 362.05 * kTera, 91.6 * kTera, 864 * kGiga,
       "L40S: " + sheet, " L40S", "8.9"},
      {"rtx4090", "NVIDIA GeForce RTX 4090, 24 GB GDDR6X", 24564 * kMiB, 165.2 * kTera,
       82.6 * kTera, 1008 * kGiga,
       "NVIDIA Ada GPU architecture white paper, appendix A; memory as nvidia-smi reports it",
       " RTX 4090", "8.9"},
      {"cpu", "16 cores with AVX2 at 2 GHz, 64 GiB of two-channel DDR4-3200", 65536 * kMiB,
       1.024 * kTera, 1.024 * kTera, 51.2 * kGiga,
       "derived: 16 cores x 2 GHz x 2 FMA units x 8 lanes x 2; 2 channels x 8 bytes x 3.2 GT/s; "
       "bf16 is computed at the fp32 rate",
       ""},
  };
}

}  // namespace

const std::vector<DeviceSpec>& known_devices() {
  static const std::vector<DeviceSpec> devices = make_devices();
  return devices;
}

std::optional<DeviceSpec> find_device_of_driver(const std::string& title) {
  for (const DeviceSpec& device : known_devices()) {
    if (!device.driver_name.empty() && title.find(device.driver_name) != title.npos) return device;
  }
  return std::nullopt;
}

DeviceSpec find_device(const std::string& name) {
  std::vector<std::string> names;
  for (const DeviceSpec& device : known_devices()) {
    if (device.name == name) return device;
    names.push_back(device.name);
  }
  LG_FAIL("[plan] device \"", name, "\" is unknown. Expected one of ", listed_names(names),
          "; for another machine take the nearest one and give its --memory-bytes.",
          did_you_mean(name, names));
}

}  // namespace longgen
