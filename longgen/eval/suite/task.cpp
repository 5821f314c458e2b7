#include "longgen/eval/suite/task.h"

#include <memory>
#include <utility>

#include "longgen/base/files.h"
#include "longgen/base/random.h"
#include "longgen/report/report_files.h"

namespace longgen {

std::string SuiteTask::label() const {
  return length_tokens > 0 ? name + "-" + token_label(length_tokens) : name;
}

SuiteTask sampled(SuiteTask task, int64_t samples, uint64_t seed) {
  if (samples == 0 || samples >= task.num_items) return task;
  const uint64_t of_task = std::stoull(hash_hex(task.name), nullptr, 16);
  const auto order = std::make_shared<const std::vector<int64_t>>(
      shuffled(task.num_items, mix_pair(seed, of_task)));
  task.num_items = samples;
  if (task.choice) {
    task.choice = [make = std::move(task.choice), order](int64_t number) {
      return make(order->at(static_cast<size_t>(number)));
    };
  } else {
    task.generation = [make = std::move(task.generation), order](int64_t number) {
      return make(order->at(static_cast<size_t>(number)));
    };
  }
  return task;
}

}  // namespace longgen
