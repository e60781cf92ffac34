"""Which torch operators compute no product that a FLOP count is about; knows no counter.

An operator is named here only if what it does is one of the headings. Whatever is named neither
here nor in a formula is unknown: a matrix product, for all that anybody can tell.
"""

from functools import cache
from typing import Any

from torch import Tag
from torch._ops import OpOverload

_NAMES = {
    "made from nothing, filled or drawn": """
        arange bernoulli bernoulli_ cauchy_ empty empty_like empty_permuted empty_strided
        exponential_ eye fill fill_ full full_like geometric_ linspace log_normal_ logspace
        multinomial new_empty new_empty_strided new_full new_ones new_zeros normal normal_
        normal_functional ones ones_like poisson rand rand_like randint randint_like randn
        randn_like random random_ randperm range scalar_tensor tril_indices triu_indices uniform
        uniform_ zero zero_ zeros zeros_like _efficientzerotensor bartlett_window blackman_window
        hamming_window hann_window kaiser_window _standard_gamma _sample_dirichlet binomial
    """,
    "moved, copied or selected": """
        _copy_from _index_put_impl_ _pack_padded_sequence _reshape_copy _resize_output_ _stack
        _to_copy _unsafe_index _unsafe_index_put _unsafe_masked_index
        _unsafe_masked_index_put_accumulate _unsafe_view alias_copy as_strided_ as_strided_copy
        as_strided_scatter block_diag cat channel_shuffle clone constant_pad_nd copy copy_
        detach_ detach_copy diag_embed diagonal_backward diagonal_copy diagonal_scatter embedding
        embedding_renorm_ expand_copy flip gather im2col index index_copy index_copy_ index_fill
        index_fill_ index_put index_put_ index_select lift lift_fresh_copy masked_fill
        masked_fill_ masked_scatter masked_scatter_ masked_scatter_backward masked_select
        narrow_copy permute_copy pixel_shuffle pixel_unshuffle put_ reflection_pad1d
        reflection_pad2d reflection_pad3d repeat repeat_interleave replication_pad1d
        replication_pad2d replication_pad3d resize_ resize_as_ roll rot90 scatter scatter_
        select_backward select_copy select_scatter set_ slice slice_backward slice_copy
        slice_scatter split split_copy split_with_sizes_copy squeeze_ squeeze_copy stack t_ t_copy
        take transpose_ transpose_copy tril tril_ triu triu_ unbind_copy unfold_backward
        unfold_copy unsafe_split unsafe_split_with_sizes unsqueeze_ unsqueeze_copy view_copy
        view_as_complex_copy view_as_real_copy complex _conj_copy _lazy_clone
    """,
    "added up where it is put": """
        col2im index_add index_add_ index_reduce index_reduce_ scatter_add scatter_add_
        scatter_reduce scatter_reduce_ segment_reduce _segment_reduce_backward
        embedding_dense_backward _embedding_bag _embedding_bag_forward_only
        _embedding_bag_backward _embedding_bag_dense_backward
        reflection_pad1d_backward reflection_pad2d_backward reflection_pad3d_backward
        replication_pad1d_backward replication_pad2d_backward replication_pad3d_backward
    """,
    "asked, compared, sorted or counted": """
        _assert_async _assert_scalar _assert_tensor_metadata _is_all_true _is_any_true
        _local_scalar_dense _unique2 _fused_sdp_choice all allclose aminmax amax amin any argmax
        argmin bincount bucketize count_nonzero equal histc isin is_pinned is_same_size is_set_to
        kthvalue max median min mode nanmedian nonzero nonzero_static searchsorted sort topk
        is_contiguous numel size storage_offset stride sym_is_contiguous sym_numel sym_size
        sym_storage_offset sym_stride unique_consecutive unique_dim
        _functional_assert_async record_stream
        sym_constrain_range sym_constrain_range_for_size _use_cudnn_ctc_loss
    """,
    "element by element": """
        _add_relu _add_relu_ _foreach_add _foreach_add_ _foreach_addcdiv_ _foreach_addcmul_
        _foreach_copy_ _foreach_div_ _foreach_lerp_ _foreach_mul _foreach_mul_ _foreach_neg
        _foreach_sqrt _foreach_sub_ _foreach_zero_ _fused_dropout _masked_scale _prelu_kernel
        _prelu_kernel_backward _thnn_fused_gru_cell _thnn_fused_gru_cell_backward
        _thnn_fused_lstm_cell _thnn_fused_lstm_cell_backward_impl abs_ addr addr_ copysign_
        dequantize elu_backward eq_ fake_quantize_per_channel_affine_cachemask
        fake_quantize_per_tensor_affine_cachemask
        _fake_quantize_per_tensor_affine_cachemask_tensor_qparams
        _fake_quantize_learnable_per_tensor_affine
        _fake_quantize_learnable_per_tensor_affine_backward
        _fake_quantize_learnable_per_channel_affine
        _fake_quantize_learnable_per_channel_affine_backward _fused_moving_avg_obs_fq_helper
        floor_divide floor_divide_ ge_ gelu_ glu glu_backward gt_ hardshrink_backward
        hardsigmoid_backward hardswish hardswish_ hardswish_backward hardtanh_backward heaviside_
        le_ leaky_relu_backward linalg_cross log_sigmoid_backward log_sigmoid_forward lt_ mish_
        mish_backward native_dropout native_dropout_backward ne_ polar quantize_per_channel
        quantize_per_tensor rrelu_with_noise rrelu_with_noise_ rrelu_with_noise_backward
        rrelu_with_noise_functional softplus_backward softshrink_backward threshold_
    """,
    "reduced": """
        _cummax_helper _cummin_helper _logcumsumexp cummax cummin cumprod cumprod_ cumsum cumsum_
        dist linalg_vector_norm logcumsumexp logsumexp mean nansum norm prod std std_mean sum
        trace var var_mean renorm _chunk_cat _foreach_norm native_norm
    """,
    "a loss of outputs and targets": """
        binary_cross_entropy binary_cross_entropy_backward binary_cross_entropy_with_logits
        huber_loss huber_loss_backward mse_loss mse_loss_backward multi_margin_loss
        multi_margin_loss_backward multilabel_margin_loss_backward
        multilabel_margin_loss_forward nll_loss2d_backward nll_loss2d_forward nll_loss_backward
        nll_loss_forward smooth_l1_loss smooth_l1_loss_backward soft_margin_loss
        soft_margin_loss_backward _ctc_loss _ctc_loss_backward _cudnn_ctc_loss
    """,
    "normalised": """
        _batch_norm_no_update _batch_norm_with_update _batch_norm_with_update_functional
        _fused_rms_norm _fused_rms_norm_backward _log_softmax _log_softmax_backward_data
        _masked_softmax _masked_softmax_backward _native_batch_norm_legit
        _native_batch_norm_legit_functional _native_batch_norm_legit_no_training _safe_softmax
        _softmax _softmax_backward_data _weight_norm_interface _weight_norm_interface_backward
        batch_norm_backward cudnn_batch_norm cudnn_batch_norm_backward log_softmax
        miopen_batch_norm miopen_batch_norm_backward native_batch_norm
        native_batch_norm_backward native_group_norm native_group_norm_backward
        native_layer_norm native_layer_norm_backward softmax
    """,
    "pooled": """
        _adaptive_avg_pool2d _adaptive_avg_pool2d_backward _adaptive_avg_pool3d
        _adaptive_avg_pool3d_backward adaptive_avg_pool1d adaptive_avg_pool2d
        adaptive_avg_pool3d adaptive_avg_pool3d_backward adaptive_max_pool2d
        adaptive_max_pool2d_backward adaptive_max_pool3d adaptive_max_pool3d_backward avg_pool1d
        avg_pool2d avg_pool2d_backward avg_pool3d avg_pool3d_backward fractional_max_pool2d
        fractional_max_pool2d_backward fractional_max_pool3d fractional_max_pool3d_backward
        max_pool2d_backward max_pool2d_with_indices max_pool2d_with_indices_backward
        max_pool3d_with_indices max_pool3d_with_indices_backward max_unpool2d max_unpool3d
        mkldnn_max_pool2d mkldnn_max_pool3d mkldnn_max_pool2d_backward mkldnn_max_pool3d_backward
    """,
    "interpolated between neighbours": """
        _grid_sampler_2d_cpu_fallback _grid_sampler_2d_cpu_fallback_backward
        _upsample_bicubic2d_aa _upsample_bicubic2d_aa_backward _upsample_bilinear2d_aa
        _upsample_bilinear2d_aa_backward _upsample_nearest_exact1d
        _upsample_nearest_exact1d_backward _upsample_nearest_exact2d
        _upsample_nearest_exact2d_backward _upsample_nearest_exact3d
        _upsample_nearest_exact3d_backward cudnn_grid_sampler cudnn_grid_sampler_backward
        grid_sampler_2d grid_sampler_2d_backward grid_sampler_3d grid_sampler_3d_backward
        upsample_bicubic2d upsample_bicubic2d_backward upsample_bilinear2d
        upsample_bilinear2d_backward upsample_linear1d upsample_linear1d_backward
        upsample_nearest1d upsample_nearest1d_backward upsample_nearest2d
        upsample_nearest2d_backward upsample_nearest3d upsample_nearest3d_backward
        upsample_trilinear3d upsample_trilinear3d_backward
    """,
}
UNCOUNTED = frozenset(name for names in _NAMES.values() for name in names.split())
"""Operators of the namespace ``aten`` that count nothing, whatever torch tags them with."""


@cache
def counts_nothing(operation: Any) -> bool:
    """Return whether an operator is known to compute no matrix product or convolution."""
    if not isinstance(operation, OpOverload):
        return False
    if operation.namespace in {"prim", "profiler"}:
        # Questions, such as on which device a tensor is; marks for whoever takes times.
        return True
    if operation.namespace != "aten":
        return False
    is_elementary = operation.is_view or Tag.pointwise in operation.tags
    return is_elementary or operation._schema.name.removeprefix("aten::") in UNCOUNTED
