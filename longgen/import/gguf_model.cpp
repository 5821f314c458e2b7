#include "longgen/import/gguf_model.h"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/checkpoint/dequantize.h"
#include "longgen/checkpoint/tensor_entry.h"
#include "longgen/import/gguf_rope.h"
#include "longgen/model/family.h"
#include "longgen/model/tensors.h"

namespace longgen {

GgufWeights::GgufWeights(const GgufFile& file, const ModelConfig& config)
    : file_(file), config_(config) {
  std::unordered_set<std::string> wanted = {kGgufRopeFactors};
  for (StoredTensor& stored : stored_tensors(config)) {
    const GgufFile::Tensor* const tensor = file.find(stored.gguf_name);
    LG_CHECK(tensor != nullptr, file.source(), ": tensor ", stored.gguf_name, " is missing.");
    LG_CHECK(tensor->shape == stored.shape, file.source(), ": tensor ", tensor->name,
             ": expected shape ", format_shape(stored.shape), " (", stored.name, "), found ",
             format_shape(tensor->shape), ".");
    LG_CHECK(can_dequantize(tensor->type), file.source(), ": tensor ", tensor->name, " has type ",
             ggml_type_name(tensor->type),
             ", which longgen cannot expand. It reads F32, F16, BF16, ",
             "Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K.");
    wanted.insert(tensor->name);
    tensors_.emplace(stored.name, Tensor{tensor, stored.rotated});
  }
  for (const GgufFile::Tensor& tensor : file.tensors()) {
    LG_CHECK(wanted.contains(tensor.name), file.source(), ": tensor ", printable(tensor.name),
             " is no part of a ", config.family, " model of ", config.num_layers,
             " layers. longgen would run the model without it, and wrongly.");
  }
}

std::vector<float> GgufWeights::read(const std::string& hugging_face_name) const {
  const auto& [tensor, rotated] = tensors_.at(hugging_face_name);
  std::vector<float> values(tensor->num_elements());
  dequantize(tensor->type, tensor->bytes, values);
  const Family& family = find_family(config_.family, "[gguf] family");
  if (!family.gguf_permutes_qk || !rotated) return values;

  // Row 2 i + j of a head in the file is row j D / 2 + i here.
  const int64_t rows = config_.head_size, half = rows / 2;
  const int64_t heads = tensor->shape[0] / rows;
  const int64_t columns = static_cast<int64_t>(values.size()) / tensor->shape[0];
  std::vector<float> ordered(values.size());
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t from = head * rows + 2 * (row % half) + row / half;
      const int64_t to = head * rows + row;
      std::copy_n(values.begin() + from * columns, columns, ordered.begin() + to * columns);
    }
  }
  return ordered;
}

std::string GgufWeights::types() const {
  std::map<std::string, size_t> bytes;
  for (const GgufFile::Tensor& tensor : file_.tensors()) {
    bytes[std::string(ggml_type_name(tensor.type))] += tensor.bytes.size();
  }
  std::vector<std::pair<size_t, std::string>> sorted;
  for (const auto& [name, size] : bytes) sorted.emplace_back(size, name);
  std::sort(sorted.rbegin(), sorted.rend());
  std::string text;
  for (const auto& [size, name] : sorted) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace longgen
