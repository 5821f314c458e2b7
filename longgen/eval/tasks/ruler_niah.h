// eval/tasks/ruler_niah.h: RULER's eight needles in a haystack.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "longgen/eval/tasks/long_task.h"
#include "longgen/eval/tasks/task_material.h"

namespace longgen {

/// Where a needle is hidden: RULER's refrain, prose, or needles of other keys.
enum class NiahHaystack { noise, essay, needle };

/// A row of RULER's scripts/synthetic.yaml.
struct NiahSettings {
  const char* name;
  NiahHaystack haystack;
  bool uuid_keys;    ///< else two words
  bool uuid_values;  ///< else seven digits
  int64_t num_keys, values_per_key, num_asked;
};

/// Returns the settings of niah_single_1 to niah_multiquery, in RULER's order.
const std::vector<NiahSettings>& niah_settings();

std::unique_ptr<LongTask> make_niah_task(const NiahSettings& settings,
                                         std::shared_ptr<const TaskMaterial> material);

}  // namespace longgen
