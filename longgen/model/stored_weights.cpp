#include "longgen/model/stored_weights.h"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/checkpoint/float_bytes.h"
#include "longgen/model/tensors.h"

namespace longgen {
namespace {

/// Returns what the message about a tensor that is no part of the model should add.
std::string hint(const std::string& name) {
  if (!name.ends_with(".bias")) return "";
  return name.find(".mlp.") != std::string::npos ? " Biases there need mlp_bias: true."
                                                 : " Biases there need attention_bias: true.";
}

/// Whether a tensor may stand in a model directory without being needed: inverse frequencies of old
/// exports, and a copy of the embedding as output layer of a tied model.
bool is_redundant(const std::string& name, const ModelConfig& config) {
  return name.ends_with("rotary_emb.inv_freq") ||
         (config.tied_embeddings && name == stored_name(TensorRole::kHead));
}

bool same_numbers(const TensorEntry& a, const TensorEntry& b) {
  if (a.shape != b.shape) return false;
  if (a.dtype == b.dtype) return a.bytes == b.bytes;
  if (!is_float(a.dtype) || !is_float(b.dtype)) return false;
  return to_floats(a.bytes, a.dtype) == to_floats(b.bytes, b.dtype);
}

}  // namespace

void check_weights(const SafetensorsSet& files, const ModelConfig& config,
                   const std::string& directory) {
  std::unordered_set<std::string> wanted;
  for (const StoredTensor& weight : stored_tensors(config)) {
    const TensorEntry* entry = files.find(weight.name);
    LG_CHECK(entry != nullptr || weight.place.role != TensorRole::kHead, directory, ": tensor ",
             weight.name,
             " is missing, and tie_word_embeddings in config.json is false or missing. Set it to "
             "true if the model's output layer is its embedding.");
    LG_CHECK(entry != nullptr, directory, ": tensor ", weight.name, " is missing; config.json (",
             config.family, ", ", config.num_layers, " layers) needs it.");
    LG_CHECK(entry->shape == weight.shape, directory, ": tensor ", weight.name, ": expected shape ",
             format_shape(weight.shape), " from config.json, found ", format_shape(entry->shape),
             ".");
    LG_CHECK(is_float(entry->dtype), directory, ": tensor ", weight.name,
             ": expected F32, F16 or BF16, found ", dtype_name(entry->dtype), ".");
    wanted.insert(weight.name);
  }
  for (const std::string& name : files.names()) {
    LG_CHECK(wanted.contains(name) || is_redundant(name, config), directory, ": tensor ",
             printable(name), " is no part of the model that config.json describes (",
             config.family, ", ", config.num_layers, " layers).", hint(name));
  }
}

bool has_head_of_its_own(const fs::path& model_directory) {
  try {
    const SafetensorsSet files(model_directory);
    const TensorEntry* const head = files.find(stored_name(TensorRole::kHead));
    const TensorEntry* const embedding = files.find(stored_name(TensorRole::kEmbedding));
    return head != nullptr && embedding != nullptr && !same_numbers(*head, *embedding);
  } catch (const Error&) {  // no weights, or damaged ones: told by the command that loads them
    return false;
  }
}

StoredTypes::StoredTypes(const SafetensorsSet& files, const ModelConfig& config) {
  std::map<DType, size_t> bytes;
  for (const StoredTensor& weight : stored_tensors(config)) {
    const TensorEntry* entry = files.find(weight.name);
    LG_DCHECK(entry != nullptr);
    by_name_.emplace(weight.name, entry->dtype);
    bytes[entry->dtype] += entry->bytes.size();
  }
  std::vector<std::pair<size_t, DType>> sorted;
  for (const auto& [dtype, size] : bytes) sorted.emplace_back(size, dtype);
  std::sort(sorted.rbegin(), sorted.rend());
  main_ = sorted.front().second;
  for (const auto& [size, dtype] : sorted) {
    names_ += (names_.empty() ? "" : ", ") + std::string(dtype_name(dtype));
  }
}

DType StoredTypes::of(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? main_ : found->second;
}

std::string StoredTypes::names() const {
  return names_.empty() ? std::string(dtype_name(main_)) : names_;
}

}  // namespace longgen
