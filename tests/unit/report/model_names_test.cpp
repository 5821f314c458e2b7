#include "longgen/report/model_names.h"

#include "longgen/report/report_files.h"
#include "test_support.h"

namespace longgen {
namespace {

using Names = std::vector<std::string>;

TEST(ModelNames, AreFolderNamesWhereThoseDiffer) {
  EXPECT_EQ(model_names({"/m/smol", "/m/hyb/"}), (Names{"smol", "hyb"}));
  EXPECT_EQ(model_names({"/runs/a/model", "/runs/b/model/"}), (Names{"a", "b"}));
  EXPECT_EQ(model_names({"/model", "/"}), (Names{"model", ""}));
}

TEST(ModelNames, HaveAsMuchOfThePathAsTellsThemApart) {
  EXPECT_EQ(model_names({"/x/a/hyb", "/x/b/hyb", "/x/smol"}), (Names{"a/hyb", "b/hyb", "smol"}));
  EXPECT_EQ(model_names({"/x/a/16K/hyb", "/x/b/16K/hyb", "/x/b/32K/hyb"}),
            (Names{"a/16K/hyb", "b/16K/hyb", "32K/hyb"}));
  EXPECT_EQ(model_names({"/x/a/run/model", "/x/b/run/model"}), (Names{"a/run", "b/run"}));
  EXPECT_EQ(model_names({"/hyb", "/x/hyb"}), (Names{"hyb", "x/hyb"}));
}

TEST(ModelNames, ARunIsNotItsModel) {
  EXPECT_EQ(model_names({"/x/run", "/x/run/model"}), (Names{"run", "model"}));
}

TEST(ModelNames, OneFolderHasOneName) {
  EXPECT_EQ(model_names({"/x/hyb", "/x/y/../hyb/.", "/y/hyb"}), (Names{"x/hyb", "x/hyb", "y/hyb"}));
}

class ModelReport : public ReportTest {
 protected:
  /// Writes the report of a model as `longgen eval needle` does, and gives its name.
  std::string write(const std::string& model, const std::string& directory,
                    const std::string& policy = "") {
    ReportOptions options;
    options.folder = dir_;
    options.name = model_report_name(dir_, "needle", model, directory, policy);
    options.settings["directory"] = report_directory(directory);
    if (!policy.empty()) options.settings["policy"] = policy;
    options.gnuplot = "true";
    write_report({.json = {{"settings", options.settings}}, .table = {}, .data = "", .script = ""},
                 options);
    return options.name;
  }
};

TEST_F(ModelReport, NamesAreFileNames) {
  EXPECT_EQ(model_report_name(dir_, "needle", "a/hyb", "/a/hyb"), "needle-a_hyb");
  EXPECT_EQ(model_report_name(dir_, "needle", "é b", "/x"), "needle-___b");
  EXPECT_EQ(model_report_name(dir_, "needle", "", "/"), "needle-");
  EXPECT_EQ(model_report_name(dir_, "needle", std::string(200, 'x'), "/x").size(), 80u);
}

TEST_F(ModelReport, ReplacesTheSameModelsAndNoOther) {
  EXPECT_EQ(write("hyb", "/a/hyb"), "needle-hyb");
  EXPECT_EQ(write("hyb", "/b/hyb"), "needle-hyb-2");
  EXPECT_EQ(write("hyb", "/c/hyb"), "needle-hyb-3");
  EXPECT_EQ(write("hyb", "/b/./hyb/"), "needle-hyb-2");
  EXPECT_EQ(write("hyb", "/a/hyb"), "needle-hyb");
  EXPECT_EQ(write("a/b", "/a/b"), "needle-a_b");
  EXPECT_EQ(write("a_b", "/c/a_b"), "needle-a_b-2");
  EXPECT_EQ(write("\xFF", "/\xFF"), "needle-_");  // no UTF-8: not as it stands in JSON
  EXPECT_EQ(write("\xFF", "/\xFF"), "needle-_");
}

TEST_F(ModelReport, KeepsThoseOfCachePoliciesApart) {
  const std::string cut(200, 'x');  // no name of a policy is left behind it
  const std::string name = write(cut, "/a/hyb");
  EXPECT_EQ(write(cut + "+h2o:8", "/a/hyb", "h2o:8"), name + "-2");
  EXPECT_EQ(write(cut + "+h2o:9", "/a/hyb", "h2o:9"), name + "-3");
  EXPECT_EQ(write(cut + "+h2o:8", "/a/hyb", "h2o:8"), name + "-2");
  EXPECT_EQ(write(cut, "/a/hyb"), name);
}

TEST_F(ModelReport, LeavesFilesThatAreNoReports) {
  for (const char* text : {"", "[]", "{\"settings\": []}", "{\"settings\": {\"directory\": 5}}"}) {
    write_file(dir_ / "needle-hyb.json", text);
    EXPECT_EQ(model_report_name(dir_, "needle", "hyb", "/a/hyb"), "needle-hyb-2") << text;
  }
}

}  // namespace
}  // namespace longgen
