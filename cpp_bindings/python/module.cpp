// The Python module `dpiqa`: the C++ API over NumPy arrays, which are read where they lie or refused.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "dpiqa/dpiqa.hpp"
#include "error.hpp"
#include "manifest.hpp"
#include "model_spec.hpp"
#include "onnx_weights.hpp"

namespace py = pybind11;
using namespace py::literals;
using dpiqa::core::InputError;

namespace {

using Floats = py::array_t<float>;

const std::map<std::string, int> kFormats{{"bgr", DPIQA_BGR},   {"rgb", DPIQA_RGB},   {"gray", DPIQA_GRAY},
                                          {"nv12", DPIQA_NV12}, {"i420", DPIQA_I420}, {"yuyv", DPIQA_YUYV},
                                          {"uyvy", DPIQA_UYVY}, {"rgba", DPIQA_RGBA}, {"p010", DPIQA_P010}};
const std::map<std::string, int> kColours{{"bt601-limited", DPIQA_BT601_LIMITED},
                                          {"bt601-full", DPIQA_BT601_FULL},
                                          {"bt709-limited", DPIQA_BT709_LIMITED},
                                          {"bt709-full", DPIQA_BT709_FULL}};

int named(const std::map<std::string, int>& names, const std::string& name, const char* what) {
    const auto found = names.find(name);
    if (found != names.end()) return found->second;
    std::string expected;
    for (const auto& entry : names) expected += (expected.empty() ? "" : ", ") + entry.first;
    throw InputError(std::string("unknown ") + what + " '" + name + "', expected one of: " + expected);
}

std::string describe(const py::array& array) {
    return py::str("{} {} with strides {}").format(array.dtype(), array.attr("shape"), array.attr("strides"));
}

[[noreturn]] void refuse(const py::array& array, const std::string& wanted) {
    throw InputError("array: expected " + wanted + ", found " + describe(array));
}

// The rows of an array [rows, ...] whose row is one run of bytes; the distance between rows is free.
dpiqa_plane plane_of(const py::array& array, int format, const std::string& wanted) {
    const auto dtype = format == DPIQA_P010 ? py::dtype::of<std::uint16_t>() : py::dtype::of<std::uint8_t>();
    if (!array.dtype().is(dtype) || array.ndim() < 2 || array.size() == 0) refuse(array, wanted);
    py::ssize_t row_bytes = array.itemsize();
    for (py::ssize_t axis = array.ndim() - 1; axis > 0; --axis) {
        if (array.shape(axis) > 1 && array.strides(axis) != row_bytes)
            refuse(array, wanted + " with gapless rows (numpy.ascontiguousarray makes a copy)");
        row_bytes *= array.shape(axis);
    }
    const py::ssize_t rows = array.shape(0), pitch = rows > 1 ? array.strides(0) : row_bytes;
    if (pitch < row_bytes) refuse(array, wanted + " with rows from top to bottom (numpy.ascontiguousarray makes a copy)");
    return {array.data(), static_cast<std::size_t>((rows - 1) * pitch + row_bytes), static_cast<std::size_t>(pitch)};
}

void check_shape(const py::array& array, const std::vector<py::ssize_t>& shape, const std::string& wanted) {
    bool fits = array.ndim() == static_cast<py::ssize_t>(shape.size());
    for (std::size_t i = 0; fits && i < shape.size(); ++i)
        fits = shape[i] == 0 || array.shape(static_cast<py::ssize_t>(i)) == shape[i];
    if (!fits) refuse(array, wanted);
}

std::string type_of(int format) { return format == DPIQA_P010 ? "uint16" : "uint8"; }

int side(py::ssize_t size) { return static_cast<int>(std::min<py::ssize_t>(size, 1 << 30)); }

// Of a format whose pixels have several bytes each; 1 for the others.
py::ssize_t pixel_bytes(int format) {
    switch (format) {
        case DPIQA_BGR:
        case DPIQA_RGB: return 3;
        case DPIQA_RGBA: return 4;
        case DPIQA_YUYV:
        case DPIQA_UYVY: return 2;
        default: return 1;
    }
}

dpiqa_frame one_array_frame(const py::array& array, int format, int colour) {
    dpiqa_frame frame{};
    frame.format = format;
    frame.colour = colour;
    const bool is_stacked = format == DPIQA_NV12 || format == DPIQA_I420 || format == DPIQA_P010;
    const py::ssize_t bytes = pixel_bytes(format);
    std::string wanted = bytes == 1 ? "uint8 [h, w]" : "uint8 [h, w, " + std::to_string(bytes) + "]";
    if (is_stacked) wanted = type_of(format) + " [h * 3 / 2, w], or a tuple of planes,";
    if (bytes == 1)
        check_shape(array, {0, 0}, wanted);
    else
        check_shape(array, {0, 0, bytes}, wanted);
    const dpiqa_plane plane = plane_of(array, format, wanted);
    frame.width = side(array.shape(1));
    frame.height = side(array.shape(0));
    frame.planes[0] = plane;
    if (!is_stacked) return frame;
    if (array.shape(0) % 3 != 0) refuse(array, wanted);
    frame.height = side(array.shape(0) / 3 * 2);
    dpiqa::check(dpiqa_frame_init(&frame, format, colour, frame.width, frame.height, plane.data, plane.size, plane.pitch));
    return frame;
}

dpiqa_frame planes_frame(const py::tuple& planes, int format, int colour) {
    const std::size_t count = format == DPIQA_NV12 || format == DPIQA_P010 ? 2 : format == DPIQA_I420 ? 3 : 1;
    if (planes.size() != count)
        throw InputError("frame: expected " + std::to_string(count) + " plane(s), found " + std::to_string(planes.size()));
    std::array<py::array, 3> arrays;
    for (std::size_t i = 0; i < count; ++i) {
        if (!py::isinstance<py::array>(planes[i])) throw InputError("frame: a plane is not a NumPy array");
        arrays[i] = planes[i].cast<py::array>();
    }
    if (count == 1) return one_array_frame(arrays[0], format, colour);
    const std::string first = "plane Y " + type_of(format) + " [h, w]";
    check_shape(arrays[0], {0, 0}, first);
    const py::ssize_t height = arrays[0].shape(0), width = arrays[0].shape(1);
    dpiqa_frame frame{};
    frame.format = format;
    frame.colour = colour;
    frame.width = side(width);
    frame.height = side(height);
    for (std::size_t i = 0; i < count; ++i) {
        std::string wanted = first;
        if (i > 0 && format == DPIQA_I420) {
            wanted = "planes U and V uint8 [h / 2, w / 2]";
            check_shape(arrays[i], {height / 2, width / 2}, wanted);
        } else if (i > 0) {
            wanted = "plane UV " + type_of(format) + " [h / 2, w / 2, 2] or [h / 2, w]";
            if (arrays[i].ndim() == 3)
                check_shape(arrays[i], {height / 2, width / 2, 2}, wanted);
            else
                check_shape(arrays[i], {height / 2, width}, wanted);
        }
        frame.planes[i] = plane_of(arrays[i], format, wanted);
    }
    return frame;
}

dpiqa_frame to_frame(const py::object& pixels, const std::string& format_name, const std::optional<std::string>& colour_name) {
    const int format = named(kFormats, format_name, "format");
    const int colour = colour_name ? named(kColours, *colour_name, "colour") : DPIQA_COLOUR_NONE;
    if (py::isinstance<py::tuple>(pixels)) return planes_frame(pixels.cast<py::tuple>(), format, colour);
    if (!py::isinstance<py::array>(pixels)) throw InputError("frame: expected a NumPy array or a tuple of planes");
    return one_array_frame(pixels.cast<py::array>(), format, colour);
}

struct PyReading {
    float score, preprocess_ms, infer_ms;
    int32_t void_kind;
    std::optional<Floats> causes, map;

    std::optional<std::string> void_name() const {
        static constexpr std::array names{"black", "white", "flat"};
        return void_kind <= DPIQA_NOT_VOID ? std::nullopt : std::optional<std::string>(names[static_cast<std::size_t>(void_kind - 1)]);
    }
};

class PyScorer {
  public:
    PyScorer(const std::filesystem::path& path, const std::string& engine, int threads, int requests, const std::string& mode,
             bool force_float32, bool unverified, int max_wait_ms, const std::filesystem::path& cache) {
        if (mode != "latency" && mode != "throughput")
            throw InputError("unknown mode '" + mode + "', expected one of: latency, throughput");
        const std::string folder = cache.string();
        const dpiqa_options options{sizeof(dpiqa_options), engine.c_str(), threads,     requests,      mode == "throughput",
                                    force_float32,         unverified,     max_wait_ms, folder.c_str()};
        const py::gil_scoped_release released;
        scorer_ = std::make_unique<dpiqa::Scorer>(path.string(), options);
    }

    const dpiqa_info& info() const { return scorer_->info(); }

    PyReading score(const py::object& pixels, const std::string& format, const std::optional<std::string>& colour) {
        const dpiqa_frame frame = to_frame(pixels, format, colour);
        return std::move(run({frame}, DPIQA_NOT_VOID).front());
    }

    std::vector<PyReading> score_many(const py::sequence& frames, const std::string& format,
                                      const std::optional<std::string>& colour, bool ignore_void) {
        const py::list held(frames);  // keeps the arrays alive while the lock is released
        std::vector<dpiqa_frame> native;
        for (const auto& frame : held) native.push_back(to_frame(py::reinterpret_borrow<py::object>(frame), format, colour));
        return run(native, ignore_void ? DPIQA_VOID_IGNORED : DPIQA_NOT_VOID);
    }

  private:
    std::vector<PyReading> run(const std::vector<dpiqa_frame>& frames, dpiqa_void rule) {
        std::vector<PyReading> readings(frames.size());
        std::vector<dpiqa_reading> raw(frames.size());
        std::vector<std::vector<float>> maps(frames.size());
        for (std::size_t i = 0; i < frames.size(); ++i) {
            raw[i].void_kind = rule;
            if (info().cause_count > 0) raw[i].causes = readings[i].causes.emplace(info().cause_count).mutable_data();
            if (info().map_width > 0) {
                maps[i].resize(static_cast<std::size_t>(info().map_height) * static_cast<std::size_t>(info().map_width));
                raw[i].map = maps[i].data();
            }
        }
        {
            const py::gil_scoped_release released;
            scorer_->score_into(frames.data(), frames.size(), raw.data());
        }
        for (std::size_t i = 0; i < frames.size(); ++i) {
            readings[i].score = raw[i].score;
            readings[i].void_kind = raw[i].void_kind;
            readings[i].preprocess_ms = raw[i].preprocess_ms;
            readings[i].infer_ms = raw[i].infer_ms;
            if (raw[i].map != nullptr)
                readings[i].map.emplace(std::array<py::ssize_t, 2>{raw[i].map_height, raw[i].map_width}, raw[i].map);
        }
        return readings;
    }

    std::unique_ptr<dpiqa::Scorer> scorer_;
};

class PyMeter {
  public:
    dpiqa_signals measure(const py::object& pixels, const std::string& format, const std::optional<std::string>& colour) {
        const dpiqa_frame frame = to_frame(pixels, format, colour);
        const py::gil_scoped_release released;
        const std::lock_guard lock(mutex_);
        return meter_.measure(frame);
    }

  private:
    std::mutex mutex_;
    dpiqa::Meter meter_;
};

py::array_t<std::uint8_t> preprocess(const py::object& pixels, int width, int height, const std::string& format,
                                     const std::optional<std::string>& colour) {
    const dpiqa_frame frame = to_frame(pixels, format, colour);
    if (std::min(width, height) < dpiqa::core::kMinModelSide || std::max(width, height) > dpiqa::core::kMaxModelSide)
        throw InputError(dpiqa::core::model_size_error(width, height));
    py::array_t<std::uint8_t> rgb({height, width, 3});
    auto* out = rgb.mutable_data();
    const auto size = static_cast<std::size_t>(rgb.nbytes());
    int status;
    {
        const py::gil_scoped_release released;
        status = dpiqa_preprocess(&frame, width, height, out, size);
    }
    dpiqa::check(status);
    return rgb;
}

void check_engine(const std::filesystem::path& engine, const std::string& flavour, int library, const std::string& capability,
                  bool is_lean) {
    const auto manifest = dpiqa::core::read_manifest(engine.string());
    dpiqa::core::check_library(manifest, {flavour, library, is_lean}, engine.string());
    dpiqa::core::check_gpu(manifest, {"a GPU", capability}, engine.string());
}

void log_to_python(int level, const char* message, void*) {
    const py::gil_scoped_acquire acquired;
    try {
        py::module_::import("logging").attr("getLogger")("dpiqa").attr("log")(10 * (level + 1), "%s", message);
    } catch (py::error_already_set& error) {
        error.discard_as_unraisable("dpiqa");
    }
}

PyObject* class_of(const py::module_& errors, int status) {
    switch (status) {
        case DPIQA_ERROR_INPUT: return errors.attr("InputError").ptr();
        case DPIQA_ERROR_CONTRACT: return errors.attr("ContractError").ptr();
        case DPIQA_ERROR_ENGINE: return errors.attr("EngineError").ptr();
        case DPIQA_ERROR_MEMORY: return PyExc_MemoryError;
        default: return PyExc_RuntimeError;
    }
}

void translate(std::exception_ptr pointer) {
    int status = 0;
    std::string sentence;
    try {
        std::rethrow_exception(pointer);
    } catch (const dpiqa::Error& error) {
        status = error.status();
        sentence = error.what();
    } catch (const dpiqa::core::Failure& error) {
        status = error.status;
        sentence = error.what();
    }
    const auto errors = py::module_::import("dpiqa.errors");
    py::set_error(py::reinterpret_borrow<py::object>(class_of(errors, status)), sentence.c_str());
}

}  // namespace

PYBIND11_MODULE(_core, module) {
    module.attr("__version__") = dpiqa_version();
    py::register_exception_translator(translate);

    py::class_<PyReading>(module, "Result")
        .def_readonly("score", &PyReading::score)
        .def_property_readonly("void", &PyReading::void_name)
        .def_readonly("causes", &PyReading::causes)
        .def_readonly("map", &PyReading::map)
        .def_readonly("preprocess_ms", &PyReading::preprocess_ms)
        .def_readonly("infer_ms", &PyReading::infer_ms);

    py::class_<PyScorer>(module, "Model")
        .def(py::init<const std::filesystem::path&, const std::string&, int, int, const std::string&, bool, bool, int,
                      const std::filesystem::path&>(), "path"_a,
             py::kw_only(), "engine"_a = "auto", "threads"_a = 0, "requests"_a = 0, "mode"_a = "latency",
             "force_float32"_a = false, "unverified"_a = false, "max_wait_ms"_a = 0, "cache"_a = "")
        .def("score", &PyScorer::score, "frame"_a, "format"_a = "bgr", "colour"_a = py::none())
        .def("score_many", &PyScorer::score_many, "frames"_a, "format"_a = "bgr", "colour"_a = py::none(), "ignore_void"_a = false)
        .def_property_readonly("contract", [](const PyScorer& self) { return self.info().contract; })
        .def_property_readonly("engine", [](const PyScorer& self) { return self.info().engine; })
        .def_property_readonly("requests", [](const PyScorer& self) { return self.info().requests; });

    py::class_<dpiqa_signals>(module, "Signals")
        .def_readonly("focus", &dpiqa_signals::focus)
        .def_readonly("brightness", &dpiqa_signals::brightness)
        .def_readonly("clipped_low", &dpiqa_signals::clipped_low)
        .def_readonly("clipped_high", &dpiqa_signals::clipped_high)
        .def_readonly("contrast", &dpiqa_signals::contrast)
        .def_readonly("noise", &dpiqa_signals::noise)
        .def_readonly("blockiness", &dpiqa_signals::blockiness)
        .def_property_readonly("difference", [](const dpiqa_signals& self) {
            return self.difference < 0 ? std::nullopt : std::optional<float>(self.difference);
        });

    py::class_<PyMeter>(module, "Meter")
        .def(py::init<>())
        .def("measure", &PyMeter::measure, "frame"_a, "format"_a = "bgr", "colour"_a = py::none());

    module.def("preprocess", &preprocess, "frame"_a, "width"_a, "height"_a, "format"_a = "bgr", "colour"_a = py::none());

    module.def("check_engine", &check_engine, "engine"_a, py::kw_only(), "flavour"_a, "library"_a, "compute_capability"_a,
               "lean"_a = false);
    module.def("check_weights", [](const std::filesystem::path& path) { dpiqa::core::check_onnx_weights(path.string()); }, "path"_a,
               py::call_guard<py::gil_scoped_release>());

    dpiqa_set_log(log_to_python, nullptr);
    py::module_::import("atexit").attr("register")(py::cpp_function([] { dpiqa_set_log(nullptr, nullptr); }));
}
