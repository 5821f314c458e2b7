#include "longgen/train/checkpoint.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/base/log.h"
#include "longgen/checkpoint/directory_hash.h"
#include "longgen/checkpoint/safetensors.h"
#include "longgen/model/model_directory.h"

namespace longgen {
namespace {

constexpr const char* kPrefix = "step-";
constexpr const char* kOptimizerFile = "optimizer.safetensors";
constexpr int64_t kMaxSteps = 1'000'000'000;

std::string folder_name(int64_t step) {
  char name[32];
  std::snprintf(name, sizeof(name), "%s%08lld", kPrefix, static_cast<long long>(step));
  return name;
}

/// The moments under their names in the file, such as "m.layers.0.qkv"; not copies.
std::vector<NamedTensor> moments(const AdamWState& state) {
  std::vector<NamedTensor> all;
  for (const NamedTensor& tensor : state.m.parameters()) {
    all.push_back({"m." + tensor.name, tensor.tensor});
  }
  for (const NamedTensor& tensor : state.v.parameters()) {
    all.push_back({"v." + tensor.name, tensor.tensor});
  }
  return all;
}

DType stored_as(const at::Tensor& moment) {
  return moment.scalar_type() == at::kBFloat16 ? DType::bf16 : DType::f32;
}

void write_moments(const fs::path& file, const AdamWState& state) {
  const std::vector<NamedTensor> tensors = moments(state);
  std::vector<TensorSpec> specs;
  for (const NamedTensor& named : tensors) {
    specs.push_back({named.name, stored_as(named.tensor), named.tensor.sizes().vec()});
  }
  SafetensorsWriter writer(file, specs);
  for (const NamedTensor& named : tensors) {
    const at::Tensor host = named.tensor.cpu();  // one at a time
    writer.write(named.name, {static_cast<const char*>(host.data_ptr()), host.nbytes()});
  }
  writer.finish();
}

void read_moments(const fs::path& path, AdamWState& state) {
  const SafetensorsFile file(path);
  for (const NamedTensor& named : moments(state)) {
    const TensorEntry* entry = file.find(named.name);
    const DType type = stored_as(named.tensor);
    LG_CHECK(entry && entry->dtype == type && entry->shape == named.tensor.sizes().vec(),
             path.string(), ": tensor ", named.name, ": expected ", dtype_name(type), " of ",
             named.tensor.sizes(), entry ? ", found another type or shape." : ", found none.");
    at::Tensor tensor = named.tensor;
    const at::Tensor host =
        tensor.is_cpu() ? tensor : at::empty(tensor.sizes(), tensor.scalar_type());
    std::memcpy(host.data_ptr(), entry->bytes.data(), entry->bytes.size());
    if (!tensor.is_cpu()) tensor.copy_(host);
    release_pages(entry->bytes);
  }
}

void check_same_run(const fs::path& folder, const Recipe& recipe, const RunState& saved,
                    const RunState& expected) {
  const std::string differences =
      run_differences(load_recipe(folder / "recipe.toml"), saved, recipe, expected);
  LG_CHECK(differences.empty(), folder.string(),
           ": this run cannot be resumed, because it would not "
           "give what it would have given:\n",
           differences, "Restore these, or begin a new run with --force or another model.output.");
}

}  // namespace

void write_state(const fs::path& file, const RunState& state) {
  OrderedJson json = {{"step", state.step},
                      {"tokens", state.tokens},
                      {"skipped_in_a_row", state.skipped_in_a_row},
                      {"model_hash", state.model_hash},
                      {"dataset_hash", state.dataset_hash}};
  if (!state.teacher_hash.empty()) json["teacher_hash"] = state.teacher_hash;
  write_file(file, dump_json(json, 2) + "\n");
}

RunState read_state(const fs::path& file) {
  const Json value = parse_json(read_file(file, 1 << 20), file.string());
  const JsonObject json(value, file.string());
  RunState state;
  state.step = json.integer("step", 0, kMaxSteps);
  state.tokens = json.integer("tokens", 0, int64_t{1} << 60);
  state.skipped_in_a_row = json.integer("skipped_in_a_row", 0, state.step, 0);
  state.model_hash = json.string("model_hash");
  state.dataset_hash = json.string("dataset_hash");
  if (json.has("teacher_hash")) state.teacher_hash = json.string("teacher_hash");
  return state;
}

std::string run_differences(const Recipe& saved_recipe, const RunState& saved, const Recipe& recipe,
                            const RunState& expected) {
  std::string differences;
  for (const std::string& line : resume_differences(saved_recipe, recipe)) {
    differences += "  " + line + "\n";
  }
  if (saved.model_hash != expected.model_hash) {
    differences += "  the files of model.path have changed\n";
  }
  if (saved.dataset_hash != expected.dataset_hash) {
    differences += recipe.data.sources.empty() ? "  the dataset at data.path has changed\n"
                                               : "  a dataset of data.sources has changed\n";
  }
  // Without a teacher before or now, the recipe says so.
  if (saved.teacher_hash != expected.teacher_hash && !saved.teacher_hash.empty() &&
      !expected.teacher_hash.empty()) {
    differences += "  the files of train.teacher have changed\n";
  }
  return differences;
}

CheckpointStore::CheckpointStore(fs::path directory, int64_t keep)
    : directory_(std::move(directory)), keep_(keep) {}

std::vector<fs::path> CheckpointStore::folders() const {
  std::vector<std::string> names;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(directory_, missing)) {
    std::string name = entry.path().filename().string();
    if (name.starts_with(kPrefix)) names.push_back(std::move(name));
  }
  // Steps of more than 8 digits have longer names.
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return std::pair(a.size(), a) < std::pair(b.size(), b);
  });
  std::vector<fs::path> found;
  for (const std::string& name : names) found.push_back(directory_ / name);
  return found;
}

std::optional<fs::path> CheckpointStore::last() const {
  const std::vector<fs::path> all = folders();
  return all.empty() ? std::nullopt : std::optional(all.back());
}

void CheckpointStore::save(const Recipe& recipe, const RunState& state,
                           const TrainableModel& model) const {
  std::error_code error;
  fs::create_directories(directory_, error);
  LG_CHECK(!error, directory_.string(), ": cannot be created: ", error.message(), ".");
  AtomicDirectory folder(directory_ / folder_name(state.step), /*replace=*/true);
  save_model(folder.path(), model.config(), model.masters(), scalar_type(recipe.train.states));
  write_moments(folder.path() / kOptimizerFile, model.moments());
  write_state(folder.path() / "state.json", state);
  write_file(folder.path() / "recipe.toml", dump_recipe(recipe));
  write_manifest(folder.path());
  folder.commit();
  const std::vector<fs::path> all = folders();
  for (size_t i = 0; i + static_cast<size_t>(keep_) < all.size(); ++i) {
    fs::remove_all(all[i], error);
    if (error) log_warning(all[i].string() + ": cannot be removed: " + error.message() + ".");
  }
}

std::optional<Checkpoint> CheckpointStore::load_last(const Recipe& recipe, const RunState& expected,
                                                     c10::Device device) const {
  const std::vector<fs::path> all = folders();
  for (auto last = all.rbegin(); last != all.rend(); ++last) {
    const fs::path& folder = *last;
    try {
      verify_manifest(folder);
    } catch (const Error& error) {
      log_warning(std::string("checkpoint passed over: ") + error.what());
      continue;
    }
    Checkpoint checkpoint;
    checkpoint.state = read_state(folder / "state.json");
    check_same_run(folder, recipe, checkpoint.state, expected);
    checkpoint.masters =
        load_model(folder, {.dtype = scalar_type(recipe.train.states), .device = device}).weights();
    checkpoint.moments = make_adamw_state(checkpoint.masters);
    read_moments(folder / kOptimizerFile, checkpoint.moments);
    return checkpoint;
  }
  LG_CHECK(all.empty(), directory_.string(), ": none of its ", all.size(),
           " checkpoints is whole, so there is nothing to resume. Begin a new run with --force or "
           "another model.output.");
  return std::nullopt;
}

}  // namespace longgen
