#include "longgen/base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <cstdio>

namespace longgen {
namespace {

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = spdlog::stderr_color_mt("longgen");
    made->set_pattern("%^%v%$");
    return made;
  }();
  return *instance;
}

std::atomic<bool> line_is_open = false;  // like the logger, of the process: there is one stderr

void erase_open_line() {
  if (line_is_open.exchange(false)) std::fputs("\r\033[K", stderr);
}

}  // namespace

void log_info(const std::string& message) {
  if (!logger().should_log(spdlog::level::info)) return;
  erase_open_line();
  logger().info("{}", message);
}

void log_warning(const std::string& message) {
  erase_open_line();
  logger().warn("warning: {}", message);
}

void set_open_line(bool open) { line_is_open = open; }

void set_quiet(bool quiet) {
  logger().set_level(quiet ? spdlog::level::warn : spdlog::level::info);
}

}  // namespace longgen
