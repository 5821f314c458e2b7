// Model directories: one file, or shards and their index.
#include "longgen/base/json.h"
#include "longgen/checkpoint/safetensors.h"
#include "test_support.h"

namespace longgen {
namespace {

class SafetensorsSetTest : public FolderTest {
 protected:
  /// Tensors a, b and c of 4 bytes each, two to a shard.
  void write_model(int64_t max_shard_bytes = 8) {
    ModelWriter writer(dir_, {{"a", DType::u8, {4}}, {"b", DType::u8, {4}}, {"c", DType::u8, {4}}},
                       max_shard_bytes);
    writer.write("c", "cccc");
    writer.write("a", "aaaa");
    writer.write("b", "bbbb");
    writer.finish();
  }
  void write_index(const Json& weight_map) {
    write_file(index(), dump_json(Json{{"weight_map", weight_map}}));
  }
  fs::path index() const { return dir_ / "model.safetensors.index.json"; }
  static constexpr const char* kFirst = "model-00001-of-00002.safetensors";
  static constexpr const char* kSecond = "model-00002-of-00002.safetensors";
};

TEST_F(SafetensorsSetTest, ASmallModelIsOneFile) {
  write_model(12);
  EXPECT_EQ(list_files(dir_), std::vector<fs::path>{dir_ / "model.safetensors"});
  const SafetensorsSet set(dir_);
  EXPECT_EQ(set.names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(set.find("b")->bytes, "bbbb");
  EXPECT_EQ(set.find("d"), nullptr);
}

TEST_F(SafetensorsSetTest, ALargerOneIsShardsWithAnIndex) {
  write_model();
  EXPECT_EQ(list_files(dir_), (std::vector<fs::path>{dir_ / kFirst, dir_ / kSecond, index()}));
  const Json written = parse_json(read_file(index()), "index");
  EXPECT_EQ(written["metadata"]["total_size"], 12);
  EXPECT_EQ(written["weight_map"], (Json{{"a", kFirst}, {"b", kFirst}, {"c", kSecond}}));
  const SafetensorsSet set(dir_);
  EXPECT_EQ(set.names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(set.find("c")->bytes, "cccc");
}

TEST_F(SafetensorsSetTest, ATensorAboveTheLimitGetsAShardOfItsOwn) {
  write_model(1);
  EXPECT_EQ(list_files(dir_).size(), 4u);
  EXPECT_EQ(SafetensorsSet(dir_).find("b")->bytes, "bbbb");
}

TEST_F(SafetensorsSetTest, NothingAppearsBeforeFinish) {
  {
    ModelWriter writer(dir_, {{"a", DType::u8, {4}}, {"b", DType::u8, {4}}}, 4);
    writer.write("a", "aaaa");
    EXPECT_ERROR(writer.write("x", "xxxx"), "tensor x was not announced.");
    EXPECT_TRUE(list_files(dir_).empty());
  }
  EXPECT_TRUE(fs::is_empty(dir_));
  EXPECT_ERROR(ModelWriter(dir_, {{"a", DType::u8, {4}}, {"a", DType::u8, {4}}}, 4),
               "tensor a is given twice.");
  EXPECT_ERROR(ModelWriter(dir_, {}, 0), "expected a shard size above 0, found 0.");
}

TEST_F(SafetensorsSetTest, FoldersWithoutWeights) {
  EXPECT_ERROR(SafetensorsSet(dir_ / "none"), "none: no such folder.");
  EXPECT_ERROR(SafetensorsSet set(dir_),
               "expected model.safetensors or model.safetensors.index.json, found neither.");
}

TEST_F(SafetensorsSetTest, AMissingShardIsNamed) {
  write_model();
  fs::remove(dir_ / kSecond);
  EXPECT_ERROR(SafetensorsSet set(dir_),
               "model.safetensors.index.json: tensor c is listed in the shard "
               "model-00002-of-00002.safetensors, which is missing from the folder.");
}

TEST_F(SafetensorsSetTest, ShardNamesThatNoFileCanHave) {
  for (const std::string& name : {std::string(5000, 'n'), std::string(3000, '/') + "n"}) {
    write_index({{"a", "sub/" + name}});
    EXPECT_ERROR(SafetensorsSet set(dir_), "which is missing from the folder.");
  }
  fs::create_directories(dir_ / "folder");
  write_index({{"a", "folder"}});
  EXPECT_ERROR(SafetensorsSet set(dir_), "folder: expected a regular file, found a folder.");
  EXPECT_ERROR(SafetensorsSet(fs::path(std::string(5000, 'n'))), "no such folder.");
}

TEST_F(SafetensorsSetTest, IndexAndShardsMustAgree) {
  write_model();
  write_index({{"a", kFirst}, {"b", kFirst}, {"c", kSecond}, {"d", kSecond}});
  EXPECT_ERROR(SafetensorsSet set(dir_),
               "the tensor d is listed in the shard model-00002-of-00002.safetensors, which does "
               "not hold it.");
  write_index({{"a", kFirst}, {"c", kSecond}});
  EXPECT_ERROR(SafetensorsSet set(dir_),
               "the shard model-00001-of-00002.safetensors holds the tensor b, which the index "
               "does not list.");
  write_index({{"a", kFirst}, {"b", kSecond}, {"c", kSecond}});
  EXPECT_ERROR(SafetensorsSet set(dir_),
               "holds the tensor b, which the index lists in model-00002-of-00002.safetensors.");
}

TEST_F(SafetensorsSetTest, AnIndexCannotNameFilesOutside) {
  write_model();
  fs::rename(dir_ / kFirst, dir_ / "outside.safetensors");
  const fs::path inside = dir_ / "inside";
  fs::create_directories(inside);
  for (const std::string& name :
       {std::string("../outside.safetensors"), (dir_ / "outside.safetensors").string(),
        std::string("sub/../../outside.safetensors"), std::string()}) {
    write_file(inside / "model.safetensors.index.json",
               dump_json(Json{{"weight_map", {{"a", name}, {"b", name}}}}));
    EXPECT_ERROR(SafetensorsSet set(inside), "a file name leads out of the folder");
  }
}

TEST_F(SafetensorsSetTest, DamagedIndexes) {
  const auto expect_error = [&](const std::string& text, const std::string& part) {
    write_file(index(), text);
    EXPECT_ERROR(SafetensorsSet set(dir_), part);
  };
  expect_error("", "not valid JSON");
  expect_error("[]", "expected an object");
  expect_error("{}", "field weight_map is missing.");
  expect_error(R"({"weight_map": []})", "field weight_map: expected an object, found [].");
  expect_error(R"({"weight_map": {}})", "field weight_map: expected at least one tensor.");
  expect_error(R"({"weight_map": {"a": 1}})", "field weight_map.a: expected a string, found 1.");
  expect_error(R"({"weight_map": {"a": "x", "a": "y"}})", "the key \"a\" stands twice");
}

TEST_F(SafetensorsSetTest, ADamagedShardIsNamed) {
  write_model();
  fs::resize_file(dir_ / kSecond, 70);
  EXPECT_ERROR(SafetensorsSet set(dir_), "model-00002-of-00002.safetensors: ");
}

}  // namespace
}  // namespace longgen
