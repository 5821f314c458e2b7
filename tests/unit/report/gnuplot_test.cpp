#include "longgen/report/gnuplot.h"

#include "test_support.h"

namespace longgen {
namespace {

TEST(GnuplotString, KeepsLettersAndWritesTheRestInOctal) {
  EXPECT_EQ(gnuplot_string("plain 135M", 60), "\"plain 135M\"");
  EXPECT_EQ(gnuplot_string("", 60), "\"\"");
  EXPECT_EQ(gnuplot_string("it's", 60), "\"it\\047s\"");
  EXPECT_EQ(gnuplot_string("\"\\`@%", 60), "\"\\042\\134\\140\\100\\045\"");
  EXPECT_EQ(gnuplot_string("%12 3", 60), "\"\\045\\061\\062 3\"");
  EXPECT_EQ(gnuplot_string("a/b-1.5_(x), y: +2=", 60), "\"a/b-1.5_(x), y: +2=\"");
  EXPECT_EQ(gnuplot_string("日本é", 60), "\"日本é\"");
}

TEST(GnuplotString, Cleans) {
  EXPECT_EQ(gnuplot_string("a\nb\tc\x01\x7F", 60), "\"a b c  \"");
  EXPECT_EQ(gnuplot_string("a\xC2\x85\xEF\xBF\xBF", 60), "\"a  \"");  // U+0085, U+FFFF
  EXPECT_EQ(gnuplot_string("\xFF", 60), "\"\xEF\xBF\xBD\"");
  EXPECT_EQ(gnuplot_string(std::string("a\0b", 3), 60), "\"a b\"");
}

TEST(GnuplotString, ShortensByCharacters) {
  EXPECT_EQ(gnuplot_string("éééé", 4), "\"éééé\"");
  EXPECT_EQ(gnuplot_string("ééééé", 4), "\"éééé…\"");
  EXPECT_EQ(gnuplot_string("'''", 2), "\"\\047\\047…\"");
}

class Gnuplot : public ReportTest {
 protected:
  void SetUp() override {
    ReportTest::SetUp();
    write_file(dir_ / "p.dat", "1 1\n2 4\n");
    write_file(dir_ / "p.gp", gnuplot_script("p", 320, 240, "plot 'p.dat' notitle\n"));
  }
  /// Pictures of an earlier run.
  void put_old_pictures() {
    write_file(dir_ / "p.svg", "old");
    write_file(dir_ / "p.png", "old");
  }
  int64_t num_files() const {
    return std::distance(fs::directory_iterator(dir_), fs::directory_iterator());
  }
};

TEST_F(Gnuplot, DrawsBothPictures) {
  ASSERT_EQ(run_gnuplot("gnuplot", dir_, "p"), "");
  const std::string png = read_file(dir_ / "p.png"), svg = read_file(dir_ / "p.svg");
  EXPECT_TRUE(png.starts_with("\x89PNG\r\n\x1A\n"));
  // Width and height stand in the header, big endian.
  EXPECT_EQ(png.substr(16, 8), std::string("\0\0\x01\x40\0\0\0\xF0", 8));
  EXPECT_TRUE(contains(svg, "<svg"));
  EXPECT_TRUE(svg.ends_with("</svg>\n\n") || svg.ends_with("</svg>\n"));
  EXPECT_EQ(num_files(), 4);  // the folder it worked in is gone
}

TEST_F(Gnuplot, ShowsEveryCharacterAsItIs) {
  std::string all, with_digits;
  for (char c = '!'; c < 0x7F; ++c) {
    all += c;
    (with_digits += c) += '7';
  }
  const std::vector<std::string> titles = {
      all,  with_digits, "'",   "''; system('touch ran') #", "`touch ran`", "a`touch ran`",
      "\\", "@GPVAL_PI", "%d%%"};
  std::string body = "plot";
  for (size_t i = 0; i < titles.size(); ++i) {
    body += (i == 0 ? " 1 title " : ", 1 title ") + gnuplot_string(titles[i], 200);
  }
  write_file(dir_ / "p.gp", gnuplot_script("p", 1600, 600, body + "\n"));
  ASSERT_EQ(run_gnuplot("gnuplot", dir_, "p"), "");
  const std::string svg = read_file(dir_ / "p.svg");
  for (const std::string& title : titles) {
    std::string escaped;
    for (const char c : title) {
      escaped += c == '&' ? "&amp;" : c == '<' ? "&lt;" : std::string(1, c);
    }
    EXPECT_TRUE(contains(svg, "<text>" + escaped + "</text>"));
  }
  EXPECT_EQ(num_files(), 4);  // nothing ran
}

TEST_F(Gnuplot, SaysWhenTheProgramIsMissing) {
  put_old_pictures();
  const std::string problem = run_gnuplot("gnuplot-that-nobody-has", dir_, "p");
  EXPECT_TRUE(contains(problem,
                       "\"gnuplot-that-nobody-has\" was not found. Install the Debian "
                       "package gnuplot-nox"));
  EXPECT_TRUE(contains(problem, "gnuplot p.gp"));
  EXPECT_FALSE(fs::exists(dir_ / "p.svg"));  // it would show other data
  EXPECT_FALSE(fs::exists(dir_ / "p.png"));
  EXPECT_EQ(num_files(), 2);
}

TEST_F(Gnuplot, SaysWhenTheProgramCannotBeRun) {
  write_file(dir_ / "not_a_program", "");
  EXPECT_TRUE(contains(run_gnuplot((dir_ / "not_a_program").string(), dir_, "p"),
                       "cannot be run: Permission denied"));
}

TEST_F(Gnuplot, SaysWhatAFailingProgramSaid) {
  const std::string program = put_program("fake", "echo 'line 3: no\tsuch font' >&2; exit 3\n");
  put_old_pictures();
  const std::string problem = run_gnuplot(program, dir_, "p");
  EXPECT_TRUE(contains(problem, "failed (exit status 3), saying: line 3: no such font"));
  EXPECT_FALSE(fs::exists(dir_ / "p.png"));
}

TEST_F(Gnuplot, LeavesNoHalfPicture) {
  const std::string half =
      put_program("half", "printf half > p.svg; printf half > p.png; exit 1\n");
  EXPECT_TRUE(contains(run_gnuplot(half, dir_, "p"), "failed (exit status 1)"));
  EXPECT_FALSE(fs::exists(dir_ / "p.svg"));
  const std::string one = put_program("one", "printf whole > p.svg\n");
  EXPECT_TRUE(contains(run_gnuplot(one, dir_, "p"), "wrote no p.png"));
  EXPECT_FALSE(fs::exists(dir_ / "p.svg"));
}

TEST_F(Gnuplot, StopsAProgramThatHangs) {
  const std::string program = put_program("hang", "exec sleep 60\n");
  EXPECT_TRUE(contains(run_gnuplot(program, dir_, "p", 0.2), "did not end within 0.2s"));
}

TEST_F(Gnuplot, RunsInTheFolderWithoutAShell) {
  // A folder whose name a shell would take apart.
  const fs::path odd = dir_ / "it's $(touch x) `y` \"z\" ;";
  fs::create_directories(odd);
  for (const char* name : {"p.gp", "p.dat"}) fs::copy_file(dir_ / name, odd / name);
  EXPECT_EQ(run_gnuplot("gnuplot", odd, "p"), "");
  EXPECT_TRUE(fs::exists(odd / "p.png"));
}

TEST_F(Gnuplot, IgnoresTheUsersStartUpFile) {
  write_file(dir_ / ".gnuplot", "exit status 9\n");
  const std::string program =
      put_program("wrapper", "HOME=" + dir_.string() + " exec gnuplot \"$@\"\n");
  EXPECT_EQ(run_gnuplot(program, dir_, "p"), "");
}

}  // namespace
}  // namespace longgen
