// base/host.h: the machine that the program runs on, as the system describes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longgen {

/// Returns "AMD EPYC 7B13" as /proc/cpuinfo calls the first processor, "unknown" without a name.
std::string processor_name();

struct MachineMemory {
  int64_t total_bytes = 0;      ///< that this process could have at most
  int64_t available_bytes = 0;  ///< without pushing anything out
};
/// Returns the memory of the machine, or less where a control group (of a container) allows less; 0
/// where the system does not say.
MachineMemory machine_memory();

/// The GPUs that the NVIDIA driver lists in /proc, by name ("NVIDIA H200"), and its version; both
/// empty where there is none. Nothing is loaded for it.
struct NvidiaDriver {
  std::string version;
  std::vector<std::string> gpus;
};
NvidiaDriver nvidia_driver();

/// Reads a line such as "MemTotal:  24032888 kB" of /proc/meminfo as bytes; 0 where there is none.
int64_t meminfo_bytes(std::string_view text, std::string_view key);
/// Reads "550.54.15" in the text of /proc/driver/nvidia/version; empty where it says no version.
std::string driver_version(std::string_view text);

}  // namespace longgen
