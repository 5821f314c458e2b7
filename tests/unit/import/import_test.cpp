#include "longgen/import/import.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "longgen/checkpoint/float_bytes.h"
#include "longgen/checkpoint/safetensors.h"
#include "longgen/model/tensors.h"
#include "tests/unit/model/test_support.h"

namespace longgen {
namespace {

struct Tensors {
  float value = 0.5F;                  ///< of all
  std::string without = "";            ///< one that is left out
  std::string extra = "";              ///< one more, of 2 elements
  std::vector<TensorSpec> specs = {};  ///< others, or in place of those of the same name
};

void write_tensors(const fs::path& directory, const std::vector<TensorSpec>& specs, float value) {
  ModelWriter writer(directory, specs);
  for (const TensorSpec& spec : specs) {
    writer.write(
        spec.name,
        to_bytes(std::vector<float>(count_elements(spec.shape, spec.name), value), spec.dtype));
  }
  writer.finish();
}

/// A Hugging Face directory of a tiny config, with fp32 weights where `tensors` says nothing else.
void write_model(const fs::path& directory, const Json& json, const Tensors& tensors = {}) {
  fs::create_directories(directory);
  std::vector<TensorSpec> specs = tensors.specs;
  const auto is_given = [&](const std::string& name) {
    return std::any_of(specs.begin(), specs.end(),
                       [&](const auto& one) { return one.name == name; });
  };
  for (const StoredTensor& weight : stored_tensors(parse(json))) {
    if (weight.name != tensors.without && !is_given(weight.name)) {
      specs.push_back({weight.name, DType::f32, weight.shape});
    }
  }
  if (!tensors.extra.empty()) specs.push_back({tensors.extra, DType::f32, {2}});
  write_tensors(directory, specs, tensors.value);
  write_file(directory / "config.json", json.dump());
  write_file(directory / "tokenizer.json", kTinyTokenizer);
}

/// Writes the elements of one fp32 tensor anew.
void overwrite(const fs::path& directory, const std::string& tensor,
               const std::vector<float>& values) {
  const fs::path path = directory / "model.safetensors";
  std::string file = read_file(path);
  const SafetensorsFile parsed(file, "file");
  const TensorEntry& entry = *parsed.find(tensor);
  const size_t at = entry.bytes.data() - file.data();
  file.replace(at, values.size() * sizeof(float), to_bytes(values, DType::f32));
  write_file(path, file);
}

Json written_config(const fs::path& directory) {
  return parse_json(read_file(directory / "config.json"), "config.json");
}

void import_quietly(const fs::path& source, const fs::path& output, ImportOptions options = {}) {
  options.show_progress = false;
  import_model(source, output, options);
}

class Import : public FolderTest {};

TEST_F(Import, StoresInTheTypeThatIsAskedFor) {
  write_model(dir_ / "in", tiny_json(), {.value = 1.0F / 3});
  import_quietly(dir_ / "in", dir_ / "out", {.dtype = DType::bf16});
  const SafetensorsSet files(dir_ / "out");
  const TensorEntry& tensor = *files.find("model.norm.weight");
  EXPECT_EQ(tensor.dtype, DType::bf16);
  EXPECT_EQ(tensor.bytes.substr(0, 2), std::string_view("\xab\x3e", 2));  // 0.333984375
  EXPECT_EQ(parse_json(read_file(dir_ / "out/config.json"), "c")["torch_dtype"], "bfloat16");
}

TEST_F(Import, MissingStrangeAndMisshapenTensors) {
  write_model(dir_ / "missing", tiny_json(), {.without = "model.layers.1.mlp.up_proj.weight"});
  EXPECT_ERROR(import_quietly(dir_ / "missing", dir_ / "out"),
               "tensor model.layers.1.mlp.up_proj.weight is missing");
  write_model(dir_ / "strange", tiny_json(), {.extra = "model.layers.0.experts.weight"});
  EXPECT_ERROR(import_quietly(dir_ / "strange", dir_ / "out"),
               "tensor model.layers.0.experts.weight is no part of the model");
  write_model(dir_ / "shape", tiny_json());
  write_file(dir_ / "shape/config.json", with("intermediate_size", 81).dump());
  EXPECT_ERROR(import_quietly(dir_ / "shape", dir_ / "out"),
               "expected shape (81, 96) from config.json, found (80, 96)");
  EXPECT_FALSE(fs::exists(dir_ / "out"));
}

TEST_F(Import, OldExtrasAreLeftOut) {
  write_model(dir_ / "in", tiny_json(), {.extra = "model.layers.0.self_attn.rotary_emb.inv_freq"});
  import_quietly(dir_ / "in", dir_ / "out");
  EXPECT_EQ(SafetensorsSet(dir_ / "out").names().size(), stored_tensors(parse(tiny_json())).size());
}

TEST_F(Import, NeedsATokenizerAndAFreeName) {
  write_model(dir_ / "in", tiny_json());
  fs::create_directories(dir_ / "taken");
  EXPECT_ERROR(import_quietly(dir_ / "in", dir_ / "taken"), "taken");
  import_quietly(dir_ / "in", dir_ / "taken", {.replace = true});
  EXPECT_TRUE(fs::exists(dir_ / "taken/config.json"));
  fs::remove(dir_ / "in/tokenizer.json");
  EXPECT_ERROR(import_quietly(dir_ / "in", dir_ / "out"), "tokenizer.json: no such file");
  EXPECT_ERROR(import_quietly(dir_ / "nothing", dir_ / "out"), "no such file or directory");
  EXPECT_ERROR(
      import_quietly("meta-llama/Llama-3.1-8B", dir_ / "out"),
      "meta-llama/Llama-3.1-8B: no such file or directory. longgen does not download models. "
      "Fetch it first, for example with hf download");
  write_file(dir_ / "text.gguf", "no model at all, but a line of text");
  EXPECT_ERROR(import_quietly(dir_ / "text.gguf", dir_ / "out"), "text.gguf");
}

TEST_F(Import, RewriteConfigSharesTheWeights) {
  write_model(dir_ / "in", tiny_json());
  ModelConfig config = load_model_config(dir_ / "in");
  config.layers = LayerPlan::hybrid(config.num_layers, {1}, Pattern::parse("sink"));
  rewrite_config(dir_ / "in", dir_ / "out", config, false);
  EXPECT_EQ(load_model_config(dir_ / "out").layers, config.layers);
  EXPECT_TRUE(fs::equivalent(dir_ / "in/model.safetensors", dir_ / "out/model.safetensors"));
}

TEST_F(Import, TheTypeIsThatOfTheTensors) {
  // Whatever config.json says. Of several types that of most bytes stands for the whole.
  Json json = with("torch_dtype", "float16");
  json["dtype"] = "float16";
  const std::vector<TensorSpec> halves = {{"model.embed_tokens.weight", DType::bf16, {131, 96}},
                                          {"lm_head.weight", DType::bf16, {131, 96}}};
  write_model(dir_ / "f32", json);
  write_model(dir_ / "mixed", json, {.specs = halves});
  for (const char* name : {"f32", "mixed"}) {
    const fs::path out = dir_ / (std::string(name) + "-out"), converted = dir_ / "converted";
    import_quietly(dir_ / name, out);
    rewrite_config(dir_ / name, converted, load_model_config(dir_ / name), /*replace=*/true);
    for (const fs::path& made : {out, converted}) {
      EXPECT_EQ(written_config(made)["torch_dtype"], "float32") << made;
      EXPECT_FALSE(written_config(made).contains("dtype")) << made;
      const SafetensorsSet files(made);
      for (const std::string& tensor : files.names()) {
        EXPECT_EQ(files.find(tensor)->dtype, SafetensorsSet(dir_ / name).find(tensor)->dtype);
      }
    }
  }
  ImportOptions quiet{.show_progress = false};
  EXPECT_EQ(import_model(dir_ / "mixed", dir_ / "a", quiet).stored, "F32, BF16");
  quiet.dtype = DType::f16;
  EXPECT_EQ(import_model(dir_ / "mixed", dir_ / "b", quiet).stored, "F16");
  EXPECT_EQ(written_config(dir_ / "b")["torch_dtype"], "float16");
  // Mostly bf16, with norms in fp32.
  std::vector<TensorSpec> matrices;
  for (const StoredTensor& weight : stored_tensors(parse(json))) {
    if (weight.shape.size() == 2) matrices.push_back({weight.name, DType::bf16, weight.shape});
  }
  write_model(dir_ / "bf16", json, {.specs = matrices});
  quiet.dtype.reset();
  EXPECT_EQ(import_model(dir_ / "bf16", dir_ / "c", quiet).stored, "BF16, F32");
  EXPECT_EQ(written_config(dir_ / "c")["torch_dtype"], "bfloat16");
}

TEST_F(Import, NumbersThatDoNotFitAreRefused) {
  write_model(dir_ / "in", tiny_json());
  const std::string source = (dir_ / "in").string();
  overwrite(dir_ / "in", "model.norm.weight", {65504, 65519, -65504});
  import_quietly(dir_ / "in", dir_ / "fits", {.dtype = DType::f16});
  overwrite(dir_ / "in", "model.norm.weight", {65520, -1e5F, 1});
  EXPECT_ERROR(import_quietly(dir_ / "in", dir_ / "out", {.dtype = DType::f16}),
               source +
                   ": tensor model.norm.weight: 2 numbers are too large for float16. Use "
                   "--dtype bfloat16, which has the range of float32, or float32.");
  overwrite(dir_ / "in", "model.norm.weight", {3.4e38F, 1, 1});
  EXPECT_ERROR(import_quietly(dir_ / "in", dir_ / "out", {.dtype = DType::bf16}),
               source +
                   ": tensor model.norm.weight: 1 number is too large for bfloat16. Use "
                   "--dtype float32.");
  EXPECT_FALSE(fs::exists(dir_ / "out"));
  EXPECT_EQ(fs::file_size(dir_ / "fits/model.safetensors") > 0, true);
}

TEST_F(Import, NumbersThatAreNotFiniteAreNamed) {
  write_model(dir_ / "in", tiny_json());
  overwrite(dir_ / "in", "model.norm.weight", {NAN, -HUGE_VALF, 1});
  for (const auto& dtype : {std::optional<DType>(), std::optional(DType::f16)}) {
    ::testing::internal::CaptureStderr();
    import_quietly(dir_ / "in", dir_ / "out", {.dtype = dtype, .replace = true});
    EXPECT_EQ(::testing::internal::GetCapturedStderr(),
              "warning: " + (dir_ / "in").string() +
                  ": tensor model.norm.weight: 2 numbers are NaN or infinite. The model will not "
                  "compute anything sensible.\n");
  }
}

TEST_F(Import, AHeadWithOtherNumbersCounts) {
  const std::vector<TensorSpec> head = {{"lm_head.weight", DType::f32, {131, 96}}};
  const Json tied = with("tie_word_embeddings", true);
  write_model(dir_ / "same", tied, {.specs = head});
  EXPECT_TRUE(load_model_config(dir_ / "same").tied_embeddings);
  import_quietly(dir_ / "same", dir_ / "same-out");
  EXPECT_EQ(SafetensorsSet(dir_ / "same-out").find("lm_head.weight"), nullptr);
  EXPECT_EQ(written_config(dir_ / "same-out")["tie_word_embeddings"], true);

  write_model(dir_ / "other", tied, {.specs = head});
  overwrite(dir_ / "other", "lm_head.weight", {0.25F});
  const ModelConfig config = load_model_config(dir_ / "other");
  EXPECT_FALSE(config.tied_embeddings);
  import_quietly(dir_ / "other", dir_ / "other-out");
  rewrite_config(dir_ / "other", dir_ / "converted", config, false);
  for (const char* made : {"other-out", "converted"}) {
    EXPECT_EQ(written_config(dir_ / made)["tie_word_embeddings"], false) << made;
    EXPECT_EQ(SafetensorsSet(dir_ / made).find("lm_head.weight")->bytes.substr(0, 4),
              to_bytes({0.25F}, DType::f32));
  }
  // The same numbers in another type are the same.
  write_model(dir_ / "type", tied, {.specs = {{"lm_head.weight", DType::bf16, {131, 96}}}});
  EXPECT_TRUE(load_model_config(dir_ / "type").tied_embeddings);
  // Without weights config.json is all there is.
  fs::remove(dir_ / "other/model.safetensors");
  EXPECT_TRUE(load_model_config(dir_ / "other").tied_embeddings);
}

TEST_F(Import, AHeadThatIsMissingNamesTheKey) {
  write_model(dir_ / "in", tiny_json(), {.without = "lm_head.weight"});
  const std::string expected =
      (dir_ / "in").string() +
      ": tensor lm_head.weight is missing, and tie_word_embeddings in config.json is false or "
      "missing. Set it to true if the model's output layer is its embedding.";
  EXPECT_ERROR(import_quietly(dir_ / "in", dir_ / "out"), expected);
  EXPECT_ERROR(rewrite_config(dir_ / "in", dir_ / "out", load_model_config(dir_ / "in"), false),
               expected);
}

TEST_F(Import, BiasesThatConfigJsonDoesNotNameAreExplained) {
  const std::string bias = "model.layers.0.self_attn.q_proj.bias";
  write_model(dir_ / "in", tiny_json(), {.extra = bias});
  EXPECT_ERROR(import_quietly(dir_ / "in", dir_ / "out"),
               "layers). Biases there need attention_bias: true.");
}

TEST_F(Import, OtherTypesOfNumbersAreRefused) {
  write_model(dir_ / "in", tiny_json());
  std::vector<TensorSpec> specs;
  for (const StoredTensor& weight : stored_tensors(parse(tiny_json()))) {
    specs.push_back({weight.name, DType::i8, weight.shape});
  }
  ModelWriter writer(dir_ / "in", specs);
  for (const TensorSpec& spec : specs) {
    writer.write(spec.name, std::string(count_elements(spec.shape, spec.name), '\1'));
  }
  writer.finish();
  const std::string expected =
      "tensor model.embed_tokens.weight: expected F32, F16 or BF16, found I8.";
  EXPECT_ERROR(import_quietly(dir_ / "in", dir_ / "out"), expected);
  EXPECT_ERROR(rewrite_config(dir_ / "in", dir_ / "out", load_model_config(dir_ / "in"), false),
               expected);
}

TEST_F(Import, WhatLaterCommandsWouldRefuseIsRefusedFirst) {
  const auto refused = [&](const char* file, const std::string& text, const std::string& message) {
    write_model(dir_ / "in", tiny_json());
    write_file(dir_ / "in" / file, text);
    EXPECT_ERROR(import_quietly(dir_ / "in", dir_ / "out"), message);
    EXPECT_ERROR(rewrite_config(dir_ / "in", dir_ / "out", load_model_config(dir_ / "in"), false),
                 message);
    EXPECT_FALSE(fs::exists(dir_ / "out"));
    fs::remove_all(dir_ / "in");
  };
  refused("tokenizer.json", "{", "tokenizer.json: not valid JSON");
  refused("tokenizer.json", "{}", "tokenizer.json: field model is missing");
  refused("tokenizer_config.json", "[]", "tokenizer_config.json: expected an object");
  refused(
      "generation_config.json", "{\"eos_token_id\": 131}",
      "generation_config.json: field eos_token_id: expected an integer from 0 to 130, found 131");
  refused("generation_config.json", "{\"eos_token_id\": [1, -1]}",
          "field eos_token_id: expected a list of integers from 0 to 130");
}

TEST_F(Import, KeepsWhatBelongsToAModel) {
  write_model(dir_ / "in", tiny_json());
  const std::vector<std::string> kept = {"tokenizer.model",
                                         "vocab.json",
                                         "merges.txt",
                                         "chat_template.jinja",
                                         "chat_template.json",
                                         "added_tokens.json",
                                         "LICENSE",
                                         "LICENSE-Llama.md",
                                         "Licence.txt",
                                         "USE_POLICY.md",
                                         "Notice.txt",
                                         "COPYING",
                                         "special_tokens_map.json",
                                         "additional_chat_templates/tools.jinja"};
  const std::vector<std::string> left = {"README.md", "training_args.bin", "optimizer.pt",
                                         "additional_chat_templates/notes.txt",
                                         "consolidated.safetensors"};
  fs::create_directories(dir_ / "in/additional_chat_templates");
  const auto text_of = [](const std::string& name) {  // a tokenizer reads some of them
    return name.ends_with(".json") ? std::string("{}\n") : "text of " + name;
  };
  for (const auto& names : {kept, left}) {
    for (const std::string& name : names) write_file(dir_ / "in" / name, text_of(name));
  }
  fs::create_symlink(dir_ / "nowhere", dir_ / "in/LICENSE.dangling");
  fs::rename(dir_ / "in/LICENSE", dir_ / "blob");
  fs::create_symlink(dir_ / "blob", dir_ / "in/LICENSE");  // as in a cache of Hugging Face
  import_quietly(dir_ / "in", dir_ / "out");
  rewrite_config(dir_ / "in", dir_ / "converted", load_model_config(dir_ / "in"), false);
  for (const char* made : {"out", "converted"}) {
    for (const std::string& name : kept) {
      EXPECT_EQ(read_file(dir_ / made / name), text_of(name)) << made;
      EXPECT_FALSE(fs::is_symlink(dir_ / made / name)) << made << name;
    }
    for (const std::string& name : left) EXPECT_FALSE(fs::exists(dir_ / made / name)) << name;
  }
}

TEST_F(Import, RewriteConfigTakesTheShardsOfTheIndexAlone) {
  write_model(dir_ / "in", tiny_json());
  const fs::path in = dir_ / "in";
  fs::create_directories(in / "part");
  fs::rename(in / "model.safetensors", in / "part/one.safetensors");
  Json map = Json::object();
  for (const StoredTensor& weight : stored_tensors(parse(tiny_json()))) {
    map[weight.name] = "part/one.safetensors";
  }
  write_file(in / "model.safetensors.index.json", Json({{"weight_map", map}}).dump());
  write_file(in / "stray.safetensors", "nothing");
  rewrite_config(in, dir_ / "out", load_model_config(in), false);
  EXPECT_EQ(SafetensorsSet(dir_ / "out").names(), SafetensorsSet(in).names());
  EXPECT_TRUE(fs::equivalent(in / "part/one.safetensors", dir_ / "out/part/one.safetensors"));
  EXPECT_FALSE(fs::exists(dir_ / "out/stray.safetensors"));
}

TEST_F(Import, RewriteConfigWritesNothingThatCannotBeRead) {
  write_model(dir_ / "in", tiny_json());
  ModelConfig config = load_model_config(dir_ / "in");
  config.context = int64_t{1} << 40;
  fs::create_directories(dir_ / "out");
  write_file(dir_ / "out/precious", "kept");
  EXPECT_ERROR(
      rewrite_config(dir_ / "in", dir_ / "out", config, /*replace=*/true),
      "out (as config.json): field max_position_embeddings: expected an integer from 1 to");
  EXPECT_EQ(read_file(dir_ / "out/precious"), "kept");
}

TEST_F(Import, FieldsThatAreNotKnownAreNamed) {
  Json json = with("gate_scale", 0.5);
  json["new_norm"] = "deep";
  write_model(dir_ / "in", json);
  ::testing::internal::CaptureStderr();
  import_quietly(dir_ / "in", dir_ / "out");
  EXPECT_EQ(
      ::testing::internal::GetCapturedStderr(),
      "warning: " + (dir_ / "in/config.json").string() +
          ": longgen does not know \"gate_scale\", \"new_norm\" and runs the model without. If "
          "that changes what the model computes, results differ.\n");
  EXPECT_EQ(written_config(dir_ / "out")["gate_scale"], 0.5);
}

}  // namespace
}  // namespace longgen
