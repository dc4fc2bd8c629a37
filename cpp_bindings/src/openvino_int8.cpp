#include "openvino_int8.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <openvino/opsets/opset13.hpp>
#include <optional>

namespace dpiqa::core {
namespace {

namespace op = ov::opset13;
using Value = ov::Output<ov::Node>;

constexpr int kLargestWeight = 64;
constexpr int kDepth = 8;  // of the chains that are followed

std::shared_ptr<op::Constant> constant(const Value& value) { return ov::as_type_ptr<op::Constant>(value.get_node_shared_ptr()); }

std::optional<float> scalar(const Value& value) {
    const auto node = constant(value);
    if (!node || ov::shape_size(node->get_shape()) != 1) return std::nullopt;
    return node->cast_vector<float>().front();
}

bool is_never_negative(const Value& value, int depth = kDepth) {
    if (depth == 0) return false;
    const auto node = value.get_node_shared_ptr();
    const auto input = [&](std::size_t i) { return is_never_negative(node->input_value(i), depth - 1); };
    if (const auto known = ov::as_type_ptr<op::Constant>(node)) {
        const auto values = known->cast_vector<float>();
        return std::all_of(values.begin(), values.end(), [](float number) { return number >= 0; });
    }
    if (const auto clamp = ov::as_type_ptr<op::Clamp>(node)) return clamp->get_min() >= 0;
    if (ov::is_type<op::Maximum>(node)) return input(0) || input(1);
    if (ov::is_type<op::Minimum>(node)) return input(0) && input(1);
    if (ov::is_type<op::Broadcast>(node) || ov::is_type<op::Convert>(node)) return input(0);
    return ov::is_type<op::Relu>(node);
}

// The conversion to an integer of at most 8 bits behind which a value was dequantized; null where it was not.
std::shared_ptr<op::Convert> quantization(const Value& value) {
    auto node = value.get_node_shared_ptr();
    for (int depth = 0; depth < kDepth; ++depth) {
        if (const auto convert = ov::as_type_ptr<op::Convert>(node)) {
            const auto type = convert->get_destination_type();
            if (type == ov::element::i8 || type == ov::element::u8) return convert;
        } else if (!ov::is_type<op::Multiply>(node) && !ov::is_type<op::Subtract>(node)) {
            return nullptr;
        }
        node = node->input_value(0).get_node_shared_ptr();
    }
    return nullptr;
}

// Whether weights are whole numbers from -64 to 64 before they are dequantized, or were never quantized.
bool are_small(const Value& weights) {
    auto node = weights.get_node_shared_ptr();
    for (int depth = 0; depth < kDepth && node->get_input_size() > 0; ++depth) {
        if (ov::is_type<op::FakeQuantize>(node)) return false;  // quantized when the model is compiled
        node = node->input_value(0).get_node_shared_ptr();
    }
    const auto stored = ov::as_type_ptr<op::Constant>(node);
    if (!stored || stored->get_element_type() != ov::element::i8) return true;
    const auto values = stored->cast_vector<int>();
    return std::all_of(values.begin(), values.end(), [](int value) { return std::abs(value) <= kLargestWeight; });
}

// Symmetric int8: zero is 0, and -128 to 127 steps are kept.
std::optional<float> step_of(const op::FakeQuantize& quantize) {
    const auto high = scalar(quantize.input_value(2)), out_low = scalar(quantize.input_value(3)),
               out_high = scalar(quantize.input_value(4));
    if (quantize.get_levels() != 256 || !high || out_low != -128.0F || out_high != 127.0F) return std::nullopt;
    return *high / 127.0F;
}

void make_unsigned(const std::shared_ptr<op::FakeQuantize>& quantize, float step) {
    const auto number = [](float value) { return op::Constant::create(ov::element::f32, {}, {value}); };
    // Clipped as int8 was: uint8 goes on to 255.
    const auto clipped = std::make_shared<op::Minimum>(quantize->input_value(0), number(127 * step));
    const auto anew = std::make_shared<op::FakeQuantize>(clipped, number(0), number(255 * step), number(0), number(255), 256);
    anew->set_friendly_name(quantize->get_friendly_name());
    const auto whole = std::make_shared<op::Convert>(anew, ov::element::u8);
    for (const auto& user : quantize->output(0).get_target_inputs()) {
        auto* convert = ov::as_type<op::Convert>(user.get_node());
        if (convert != nullptr && convert->get_destination_type() == ov::element::i8) convert->output(0).replace(whole->output(0));
    }
}

}  // namespace

bool fit_16_bits(ov::Model& model) {
    for (const auto& node : model.get_ordered_ops()) {
        const auto quantize = ov::as_type_ptr<op::FakeQuantize>(node);
        if (!quantize || !is_never_negative(quantize->input_value(0))) continue;
        if (const auto step = step_of(*quantize)) make_unsigned(quantize, *step);
    }
    model.validate_nodes_and_infer_types();
    for (const auto& node : model.get_ordered_ops()) {
        if (!ov::is_type<op::Convolution>(node) && !ov::is_type<op::GroupConvolution>(node) && !ov::is_type<op::MatMul>(node)) continue;
        const auto activations = quantization(node->input_value(0));
        if (activations && activations->get_destination_type() == ov::element::i8 && !are_small(node->input_value(1))) return false;
    }
    return true;
}

}  // namespace dpiqa::core
