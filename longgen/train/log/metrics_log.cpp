#include "longgen/train/log/metrics_log.h"

#include <optional>

#include "longgen/base/check.h"
#include "longgen/base/log.h"

namespace longgen {
namespace {

/// The step of a line, or nothing where it is no line of ours.
std::optional<int64_t> step_of(std::string_view line) {
  try {
    const Json value = parse_json(line, "line");
    return JsonObject(value, "line").integer("step", 0, INT64_MAX);
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// Rewrites the log with the lines up to resume_step.
void keep_until(const fs::path& path, int64_t resume_step) {
  const MappedFile old(path);
  AtomicFile kept(path);
  std::string_view rest = old.bytes();
  int64_t num_bad = 0;
  while (true) {
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) break;  // what is left is torn
    const std::optional<int64_t> step = step_of(rest.substr(0, end));
    if (!step) ++num_bad;
    if (step && *step <= resume_step) kept.write(rest.substr(0, end + 1));
    rest.remove_prefix(end + 1);
  }
  kept.commit();
  if (num_bad > 0) {
    log_warning(path.string() + ": dropped " + std::to_string(num_bad) +
                " lines that are no JSON objects with a step.");
  }
}

fs::path prepared(const fs::path& path, int64_t resume_step) {
  std::error_code unreadable;  // then opening the file says why
  if (resume_step == MetricsLog::kNewRun) {
    write_file(path, "");
  } else if (fs::exists(path, unreadable)) {
    keep_until(path, resume_step);
  }
  return path;
}

}  // namespace

MetricsLog::MetricsLog(const fs::path& path, int64_t resume_step)
    : file_(prepared(path, resume_step), AppendFile::Start::append) {}

void MetricsLog::write(const OrderedJson& fields) {
  LG_CHECK(fields.is_object() && fields.contains("step") && fields["step"].is_number_integer(),
           "[metrics] expected an object with an integer \"step\", found ", dump_json(fields), ".");
  file_.append(dump_json(fields) + "\n");
}

}  // namespace longgen
