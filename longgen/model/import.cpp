#include "longgen/model/import.h"

#include <functional>
#include <set>
#include <unordered_set>

#include "longgen/base/check.h"
#include "longgen/base/progress.h"
#include "longgen/checkpoint/gguf.h"
#include "longgen/checkpoint/half.h"
#include "longgen/model/gguf_model.h"
#include "longgen/model/model_path.h"
#include "longgen/model/weight_names.h"

namespace longgen {
namespace {

bool is_float_type(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}

/// Elements of `dtype` as fp32.
std::vector<float> to_floats(std::string_view bytes, DType dtype) {
  std::vector<float> values(bytes.size() / dtype_bytes(dtype));
  if (dtype == DType::f32) {
    std::copy_n(bytes.data(), bytes.size(), reinterpret_cast<char*>(values.data()));
    return values;
  }
  std::vector<uint16_t> halves(values.size());
  std::copy_n(bytes.data(), bytes.size(), reinterpret_cast<char*>(halves.data()));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = dtype == DType::f16 ? f16_to_f32(halves[i]) : bf16_to_f32(halves[i]);
  }
  return values;
}

/// fp32 as the bytes of `dtype`, rounded to nearest.
std::string to_bytes(const std::vector<float>& values, DType dtype) {
  if (dtype == DType::f32) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
  }
  std::string bytes(values.size() * sizeof(uint16_t), '\0');
  auto* out = reinterpret_cast<uint16_t*>(bytes.data());
  for (size_t i = 0; i < values.size(); ++i) {
    out[i] = dtype == DType::f16 ? f32_to_f16(values[i]) : f32_to_bf16(values[i]);
  }
  return bytes;
}

/// Writes the tensors of a model whose bytes `read` gives, in the type that the spec names.
void write_weights(const fs::path& directory, const std::vector<TensorSpec>& specs,
                   const std::function<std::string(const TensorSpec&)>& read,
                   const ImportOptions& options, ImportSummary& summary) {
  for (const TensorSpec& spec : specs) {
    summary.stored_bytes += count_bytes(spec.shape, dtype_bytes(spec.dtype), spec.name);
  }
  summary.num_tensors = static_cast<int64_t>(specs.size());
  std::optional<Progress> progress;
  if (options.show_progress) progress.emplace("import", summary.stored_bytes, "B");
  ModelWriter writer(directory, specs);
  int64_t done = 0;
  for (const TensorSpec& spec : specs) {
    const std::string bytes = read(spec);
    writer.write(spec.name, bytes);
    done += static_cast<int64_t>(bytes.size());
    if (progress) progress->update(done, spec.name);
  }
  writer.finish();
  if (progress) progress->finish();
}

ImportSummary import_gguf(const fs::path& source, const fs::path& directory,
                          const ImportOptions& options) {
  const GgufFile file(source);
  ImportSummary summary;
  summary.config = gguf_config(file);
  const GgufWeights weights(file, summary.config);
  const TokenizerFiles tokenizer = make_tokenizer_files(gguf_vocabulary(file));
  const DType dtype = options.dtype.value_or(DType::f32);
  std::vector<TensorSpec> specs;
  for (const WeightShape& weight : weight_shapes(summary.config)) {
    specs.push_back({weight.name, dtype, weight.shape});
  }
  write_weights(
      directory, specs,
      [&](const TensorSpec& spec) { return to_bytes(weights.read(spec.name), dtype); }, options,
      summary);
  write_file(directory / "tokenizer.json", tokenizer.tokenizer_json);
  write_file(directory / "tokenizer_config.json", tokenizer.tokenizer_config_json);
  write_file(directory / "generation_config.json", gguf_generation_config(file));
  summary.source_kind = "GGUF file (" + weights.types() + ")";
  summary.stored = dtype_name(dtype);
  return summary;
}

ImportSummary import_directory(const fs::path& source, const fs::path& directory,
                               const ImportOptions& options) {
  ImportSummary summary;
  summary.config = load_model_config(source);
  const SafetensorsSet files(source);
  check_weights(files, summary.config, source.string());
  std::vector<TensorSpec> specs;
  std::set<std::string> found, stored;
  for (const WeightShape& weight : weight_shapes(summary.config)) {
    const TensorEntry& entry = *files.find(weight.name);
    LG_CHECK(is_float_type(entry.dtype), source.string(), ": tensor ", weight.name,
             ": expected F32, F16 or BF16, found ", dtype_name(entry.dtype), ".");
    const DType dtype = options.dtype.value_or(entry.dtype);
    specs.push_back({weight.name, dtype, weight.shape});
    found.emplace(dtype_name(entry.dtype));
    stored.emplace(dtype_name(dtype));
  }
  write_weights(
      directory, specs,
      [&](const TensorSpec& spec) {
        const TensorEntry& entry = *files.find(spec.name);
        std::string bytes = entry.dtype == spec.dtype
                                ? std::string(entry.bytes)
                                : to_bytes(to_floats(entry.bytes, entry.dtype), spec.dtype);
        release_pages(entry.bytes);
        return bytes;
      },
      options, summary);
  copy_tokenizer_files(source, directory);
  const auto joined = [](const std::set<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
  };
  summary.source_kind = "Hugging Face directory (" + joined(found) + ")";
  summary.stored = joined(stored);
  return summary;
}

}  // namespace

void check_weights(const SafetensorsSet& files, const ModelConfig& config,
                   const std::string& directory) {
  std::unordered_set<std::string> wanted;
  for (const WeightShape& weight : weight_shapes(config)) {
    const TensorEntry* entry = files.find(weight.name);
    LG_CHECK(entry != nullptr, directory, ": tensor ", weight.name, " is missing; config.json (",
             config.family, ", ", config.num_layers, " layers) needs it.");
    LG_CHECK(entry->shape == weight.shape, directory, ": tensor ", weight.name, ": expected shape ",
             format_shape(weight.shape), " from config.json, found ", format_shape(entry->shape),
             ".");
    wanted.insert(weight.name);
  }
  for (const std::string& name : files.names()) {
    LG_CHECK(wanted.contains(name) || is_redundant_weight(name, config), directory, ": tensor ",
             printable(name), " is no part of the model that config.json describes (",
             config.family, ", ", config.num_layers, " layers).");
  }
}

void copy_tokenizer_files(const fs::path& from, const fs::path& to) {
  LG_CHECK(fs::exists(from / "tokenizer.json"), (from / "tokenizer.json").string(),
           ": no such file. longgen reads this form of the tokenizer only; transformers writes it: "
           "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR).");
  for (const char* name :
       {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "chat_template.jinja", "generation_config.json", "LICENSE", "LICENSE.txt", "NOTICE"}) {
    if (fs::exists(from / name)) fs::copy_file(from / name, to / name);
  }
}

ImportSummary import_model(const fs::path& source, const fs::path& output,
                           const ImportOptions& options) {
  LG_CHECK(fs::exists(source), source.string(), ": no such file or directory.",
           download_advice(source));
  AtomicDirectory directory(output, options.replace);
  ImportSummary summary = fs::is_directory(source)
                              ? import_directory(source, directory.path(), options)
                              : import_gguf(source, directory.path(), options);
  set_stored_dtype(summary.config, options.dtype || !fs::is_directory(source)
                                       ? summary.stored
                                       : summary.stored.substr(0, summary.stored.find(',')));
  write_file(directory.path() / "config.json", dump_model_config(summary.config));
  directory.commit();
  return summary;
}

void rewrite_config(const fs::path& source, const fs::path& output, const ModelConfig& config,
                    bool replace) {
  const SafetensorsSet files(source);
  check_weights(files, config, source.string());
  AtomicDirectory directory(output, replace);
  for (const auto& entry : fs::directory_iterator(source)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".safetensors") && name != "model.safetensors.index.json") continue;
    std::error_code error;
    fs::create_hard_link(fs::canonical(entry.path()), directory.path() / name, error);
    if (error) fs::copy_file(entry.path(), directory.path() / name);
  }
  copy_tokenizer_files(source, directory.path());
  write_file(directory.path() / "config.json", dump_model_config(config));
  directory.commit();
}

}  // namespace longgen
