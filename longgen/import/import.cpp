#include "longgen/import/import.h"

#include <functional>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/progress.h"
#include "longgen/checkpoint/float_bytes.h"
#include "longgen/checkpoint/gguf.h"
#include "longgen/checkpoint/safetensors.h"
#include "longgen/import/gguf_config.h"
#include "longgen/import/gguf_fields.h"
#include "longgen/import/gguf_model.h"
#include "longgen/import/model_files.h"
#include "longgen/model/config_fields.h"
#include "longgen/model/model_path.h"
#include "longgen/model/stored_weights.h"
#include "longgen/model/tensors.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {
namespace {

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
    if (progress) progress->update(done);
  }
  writer.finish();
  if (progress) progress->finish();
}

void warn_if_not_finite(const std::string& source, const std::string& tensor, int64_t count) {
  if (count == 0) return;
  log_warning(detail::concat(source, ": tensor ", tensor, ": ", count,
                             count == 1 ? " number is" : " numbers are",
                             " NaN or infinite. The model will not compute anything sensible."));
}

/// Returns the values in the type of the spec, each rounded to nearest. Throws Error where a finite
/// one would become infinite.
std::string rounded(const std::vector<float>& values, const TensorSpec& spec,
                    const std::string& source) {
  const std::string_view exact{reinterpret_cast<const char*>(values.data()),
                               values.size() * sizeof(float)};
  const int64_t not_finite = count_not_finite(exact, DType::f32);
  warn_if_not_finite(source, spec.name, not_finite);
  std::string bytes = to_bytes(values, spec.dtype);
  const int64_t too_large = count_not_finite(bytes, spec.dtype) - not_finite;
  LG_CHECK(too_large == 0, source, ": tensor ", spec.name, ": ", too_large,
           too_large == 1 ? " number is" : " numbers are", " too large for ",
           float_type_name(spec.dtype), ". Use --dtype ",
           spec.dtype == DType::f16 ? "bfloat16, which has the range of float32, or " : "",
           "float32.");
  return bytes;
}

ImportSummary import_gguf(const fs::path& source, const fs::path& directory,
                          const ImportOptions& options) {
  const GgufFile file(source);
  ImportSummary summary;
  summary.config = gguf_config(file);
  const GgufWeights weights(file, summary.config);
  GgufVocabulary vocabulary = gguf_vocabulary(file);
  if (!options.pre_tokenizer.empty()) {
    LG_CHECK(vocabulary.model == "gpt2", source.string(), ": --pre-tokenizer ",
             options.pre_tokenizer,
             ": only byte-level vocabularies (tokenizer.ggml.model gpt2) are "
             "split by a named pattern, and this one is \"",
             vocabulary.model.substr(0, 60), "\". Leave the option out.");
    vocabulary.pre = options.pre_tokenizer;
  }
  const TokenizerFiles tokenizer = make_tokenizer_files(vocabulary);
  Tokenizer::from_json(tokenizer.tokenizer_json, source.string() + " (as tokenizer.json)");
  const std::string generation_config = gguf_generation_config(file);
  warn_of_unknown_keys(file, summary.config);
  const DType dtype = options.dtype.value_or(DType::f32);
  std::vector<TensorSpec> specs;
  for (const StoredTensor& weight : stored_tensors(summary.config)) {
    specs.push_back({weight.name, dtype, weight.shape});
  }
  write_weights(
      directory, specs,
      [&](const TensorSpec& spec) {
        return rounded(weights.read(spec.name), spec, source.string());
      },
      options, summary);
  write_file(directory / "tokenizer.json", tokenizer.tokenizer_json);
  write_file(directory / "tokenizer_config.json", tokenizer.tokenizer_config_json);
  write_file(directory / "generation_config.json", generation_config);
  summary.source_kind = "GGUF file (" + weights.types() + ")";
  summary.stored = dtype_name(dtype);
  set_stored_dtype(summary.config, dtype);
  return summary;
}

ImportSummary import_directory(const fs::path& source, const fs::path& directory,
                               const ImportOptions& options) {
  LG_CHECK(options.pre_tokenizer.empty(), source.string(), ": --pre-tokenizer ",
           options.pre_tokenizer,
           ": only for GGUF files; a directory's tokenizer.json says itself "
           "how words are split. Leave the option out.");
  ImportSummary summary;
  summary.config = load_model_config(source);
  const SafetensorsSet files(source);
  check_weights(files, summary.config, source.string());
  check_model_files(source, summary.config);
  warn_of_unknown_fields(summary.config, (source / "config.json").string());
  const StoredTypes found(files, summary.config);
  const StoredTypes stored = options.dtype ? StoredTypes(*options.dtype) : found;
  std::vector<TensorSpec> specs;
  for (const StoredTensor& weight : stored_tensors(summary.config)) {
    specs.push_back({weight.name, stored.of(weight.name), weight.shape});
  }
  write_weights(
      directory, specs,
      [&](const TensorSpec& spec) {
        const TensorEntry& entry = *files.find(spec.name);
        std::string bytes;
        if (entry.dtype == spec.dtype) {
          bytes = entry.bytes;
          warn_if_not_finite(source.string(), spec.name, count_not_finite(bytes, spec.dtype));
        } else {
          bytes = rounded(to_floats(entry.bytes, entry.dtype), spec, source.string());
        }
        release_pages(entry.bytes);
        return bytes;
      },
      options, summary);
  copy_model_files(source, directory);
  summary.source_kind = "Hugging Face directory (" + found.names() + ")";
  summary.stored = stored.names();
  set_stored_dtype(summary.config, stored.main());
  return summary;
}

void link_or_copy(const fs::path& from, const fs::path& to) {
  make_folder(to.parent_path());
  std::error_code error;
  // A link to a link would break with the folder that holds the second.
  const fs::path file = fs::canonical(from, error);
  if (!error) fs::create_hard_link(file, to, error);
  if (error) copy_regular_file(from, to);
}

}  // namespace

ImportSummary import_model(const fs::path& source, const fs::path& output,
                           const ImportOptions& options) {
  LG_CHECK(fs::exists(source), source.string(), ": no such file or directory.",
           download_advice(source));
  AtomicDirectory directory(output, options.replace);
  const ImportSummary summary = fs::is_directory(source)
                                    ? import_directory(source, directory.path(), options)
                                    : import_gguf(source, directory.path(), options);
  write_file(directory.path() / "config.json", dump_model_config(summary.config));
  directory.commit();
  return summary;
}

void rewrite_config(const fs::path& source, const fs::path& output, const ModelConfig& config,
                    bool replace) {
  const SafetensorsSet files(source);
  check_weights(files, config, source.string());
  check_model_files(source, config);
  ModelConfig described = config;
  set_stored_dtype(described, StoredTypes(files, config).main());
  const std::string text = dump_model_config(described);
  parse_model_config(text, output.string() + " (as config.json)");
  AtomicDirectory directory(output, replace);
  for (const fs::path& name : files.files()) {
    link_or_copy(source / name, directory.path() / name);
  }
  copy_model_files(source, directory.path());
  write_file(directory.path() / "config.json", text);
  directory.commit();
}

}  // namespace longgen
