// The ABI policy: structs of every release are taken, those of none refused.
#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "error.hpp"
#include "golden.hpp"
#include "structs.hpp"

namespace {

// A struct of three releases; programs of the first two know less of it.
struct Grown {
    std::size_t struct_size = sizeof(Grown);
    std::int32_t first = 0, second = 0;
    void* third = nullptr;
    std::int32_t fourth = 0, fifth = 0;
};

}  // namespace

template <>
struct dpiqa::core::Releases<Grown> {
    static constexpr std::size_t sizes[] = {offsetof(Grown, third), offsetof(Grown, fourth), sizeof(Grown)};
};

using namespace dpiqa::core;

namespace {

struct First {  // as the program of the first release has it
    std::size_t struct_size = sizeof(First);
    std::int32_t first = 0, second = 0;
};

template <typename Old>
Grown* as_passed(Old* old) {
    return reinterpret_cast<Grown*>(old);
}

template <typename Struct, typename Call>
void check_sizes(Struct value, Call call, const char* name) {
    for (const std::size_t size : {std::size_t{0}, sizeof(Struct) - 1, sizeof(Struct) + 8}) {
        value.struct_size = size;
        CHECK(call(&value) == DPIQA_ERROR_INPUT);
        const std::string sentence = dpiqa_last_error();
        CHECK(sentence.find(std::string(name) + ": struct_size is " + std::to_string(size)) == 0);
        CHECK(sentence.find("DPIQA_INIT") != std::string::npos);
    }
    value.struct_size = sizeof(Struct);
    CHECK(call(&value) == DPIQA_OK);
}

}  // namespace

TEST_CASE("a struct of an earlier release is read without what it lacks, and written within its bounds") {
    First olds[3];
    olds[1].first = 7;
    olds[1].second = 8;
    olds[2].first = 9;
    const Structs<Grown> structs(as_passed(olds), "grown", 2);
    const Grown read = structs[1];
    CHECK(read.first == 7);
    CHECK(read.second == 8);
    CHECK(read.third == nullptr);
    CHECK(read.fifth == 0);
    Grown written;
    written.first = 1;
    written.second = 2;
    written.third = &written;
    written.fourth = 4;
    structs.store(1, written);
    CHECK(olds[1].struct_size == sizeof(First));
    CHECK(olds[1].first == 1);
    CHECK(olds[1].second == 2);
    CHECK(olds[2].struct_size == sizeof(First));  // the neighbour, untouched
    CHECK(olds[2].first == 9);
}

TEST_CASE("sizes between those of the releases, and two sizes in one array, are refused") {
    First old;
    old.struct_size = sizeof(First) + 4;
    CHECK_THROWS_WITH_AS(Structs<Grown>(as_passed(&old), "grown"), doctest::Contains("grown: struct_size is 20"), InputError);
    Grown two[2];
    two[1].struct_size = sizeof(First);
    CHECK_THROWS_WITH_AS(Structs<Grown>(two, "grown", 2), doctest::Contains("grown[1]: struct_size is 16, that of the first is 32"),
                         InputError);
}

TEST_CASE("every call refuses a struct whose size no release had") {
    const std::string model = data_path(kModel);
    dpiqa_scorer* scorer = nullptr;
    check_sizes(dpiqa_options{}, [&](dpiqa_options* options) {
        dpiqa_close(scorer);
        return dpiqa_open(model.c_str(), options, &scorer);
    }, "options");
    REQUIRE(scorer != nullptr);
    dpiqa_meter* meter = nullptr;
    REQUIRE(dpiqa_meter_open(&meter) == DPIQA_OK);
    const dpiqa_frame frame = golden_vectors()[0].frame();
    dpiqa_reading reading{};
    dpiqa_signals signals{};
    std::vector<std::uint8_t> rgb(64 * 64 * 3);
    check_sizes(dpiqa_info{}, [&](dpiqa_info* info) { return dpiqa_describe(scorer, info); }, "info");
    check_sizes(frame, [&](dpiqa_frame* one) { return dpiqa_score(scorer, one, 1, &reading); }, "frames");
    check_sizes(frame, [&](dpiqa_frame* one) { return dpiqa_preprocess(one, 64, 64, rgb.data(), rgb.size()); }, "frame");
    check_sizes(frame, [&](dpiqa_frame* one) { return dpiqa_measure(meter, one, &signals); }, "frame");
    check_sizes(frame, [&](dpiqa_frame* one) {
        return dpiqa_frame_fill(one, DPIQA_RGB, DPIQA_COLOUR_NONE, 64, 64, rgb.data(), rgb.size(), 0);
    }, "frame");
    check_sizes(reading, [&](dpiqa_reading* one) { return dpiqa_score(scorer, &frame, 1, one); }, "readings");
    check_sizes(signals, [&](dpiqa_signals* one) { return dpiqa_measure(meter, &frame, one); }, "signals");
    dpiqa_meter_close(meter);
    dpiqa_close(scorer);
}
