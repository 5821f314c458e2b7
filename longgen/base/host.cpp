#include "longgen/base/host.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <sstream>

namespace longgen {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

/// Reads a file of /proc or /sys; empty where it cannot be read.
std::string system_text(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Returns what stands after the colon of the first line that begins with `key`.
std::string value_of(std::string_view text, std::string_view key) {
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(':');
    if (line.rfind(key, 0) != 0 || colon == line.npos) continue;
    const size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == line.npos ? "" : line.substr(begin);
  }
  return "";
}

/// Reads the bytes in a control group's file; nothing for "max" and for a missing file.
std::optional<int64_t> group_bytes(const char* path) {
  std::istringstream text(system_text(path));
  int64_t bytes = 0;
  return text >> bytes ? std::optional(bytes) : std::nullopt;
}

}  // namespace

std::string processor_name() {
  const std::string name = value_of(system_text("/proc/cpuinfo"), "model name");
  return name.empty() ? "unknown" : name;
}

MachineMemory machine_memory() {
  const std::string text = system_text("/proc/meminfo");
  MachineMemory memory = {meminfo_bytes(text, "MemTotal:"), meminfo_bytes(text, "MemAvailable:")};
  // Version 2 of control groups, then version 1. In a container these are its own group's.
  const std::pair<const char*, const char*> files[] = {
      {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
      {"/sys/fs/cgroup/memory/memory.limit_in_bytes",
       "/sys/fs/cgroup/memory/memory.usage_in_bytes"}};
  for (const auto& [limit_file, used_file] : files) {
    const int64_t limit = group_bytes(limit_file).value_or(kUnlimited);
    if (limit >= memory.total_bytes) continue;
    memory.total_bytes = limit;
    const int64_t left = std::max<int64_t>(0, limit - group_bytes(used_file).value_or(0));
    memory.available_bytes = std::min(memory.available_bytes, left);
  }
  return memory;
}

NvidiaDriver nvidia_driver() {
  NvidiaDriver driver = {driver_version(system_text("/proc/driver/nvidia/version")), {}};
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc/driver/nvidia/gpus", error)) {
    const std::string name = value_of(system_text(entry.path() / "information"), "Model");
    if (!name.empty()) driver.gpus.push_back(name);
  }
  return driver;
}

int64_t meminfo_bytes(std::string_view text, std::string_view key) {
  std::istringstream value(value_of(text, key));
  int64_t kib = 0;
  return value >> kib ? kib * 1024 : 0;
}

std::string driver_version(std::string_view text) {
  // "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar ...": the first word that
  // is a number with a dot.
  std::istringstream words{value_of(text, "NVRM version")};
  for (std::string word; words >> word;) {
    const bool is_number = word.find_first_not_of("0123456789.") == word.npos;
    if (is_number && word.find('.') != word.npos) return word;
  }
  return "";
}

}  // namespace longgen
