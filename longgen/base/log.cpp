#include "longgen/base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>

#include "longgen/base/warning_handler.h"

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

std::mutex warning_handler_mutex;
std::shared_ptr<const WarningHandler> warning_handler;

std::shared_ptr<const WarningHandler> current_warning_handler() {
  const std::lock_guard lock(warning_handler_mutex);
  return warning_handler;
}

void erase_open_line() {
  if (line_is_open.exchange(false)) std::fputs("\r\033[K", stderr);
}

}  // namespace

void log_info(const std::string& message) {
  if (!logger().should_log(spdlog::level::info)) return;
  erase_open_line();
  logger().info("{}", message);
}

void handle_warnings(WarningHandler handler) {
  auto shared = handler ? std::make_shared<const WarningHandler>(std::move(handler)) : nullptr;
  const std::lock_guard lock(warning_handler_mutex);
  warning_handler.swap(shared);
}

void log_warning(const std::string& message) {
  if (const auto handler = current_warning_handler()) return (*handler)(message);
  erase_open_line();
  logger().warn("warning: {}", message);
}

void set_open_line(bool open) { line_is_open = open; }

void set_quiet(bool quiet) {
  logger().set_level(quiet ? spdlog::level::warn : spdlog::level::info);
}

}  // namespace longgen
