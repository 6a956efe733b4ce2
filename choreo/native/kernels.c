// The few loops of updates and of acting that PyTorch cannot fuse on a CPU. float32, rows contiguous
// unless a function says otherwise; no state, no libraries but OpenMP where the compiler has it, which
// is then PyTorch's own where both were built with gcc. Plain C that a compiler turns into vector
// instructions. What a function computes PyTorch computes too, and must be equal to; whole numbers
// come as longs. See choreo/native/__init__.py.

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef const float *restrict Input;  // inputs and outputs never overlap
typedef float *restrict Output;

// x - n log 2, log 2 in two parts. As a sum it would be reordered (build.py) and lose digits.
static inline float without_powers_of_two(float x, float n) {
#if defined(__FMA__) || defined(__aarch64__)
    return fmaf(n, 2.12194440e-4f, fmaf(n, -0.693359375f, x));
#else
    return (x - n * 0.693359375f) + n * 2.12194440e-4f;
#endif
}

static inline float exponential(float x) {  // within 2 units of the last place
    x = x > 88.0f ? 88.0f : x;
    x = x < -87.0f ? -87.0f : x;
    float n = rintf(x * 1.44269504f);
    float r = without_powers_of_two(x, n);
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int bits = ((int)n + 127) << 23;
    float power;
    memcpy(&power, &bits, 4);
    return p * power;
}

static inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

static inline float elu(float x) { return x > 0.0f ? x : exponential(x) - 1.0f; }

static inline float tangent(float x) { return 1.0f - 2.0f / (1.0f + exponential(2.0f * x)); }

enum { WORTH_A_THREAD = 1 << 17 };  // numbers below which one thread is faster than two

// Runs a loop on all threads, where that is worth it. A parallel region that is told to use one
// thread is not the same: it sends the others away, and the next one has to call them back.
#define ON_THREADS(worth, ...)                                    \
    do {                                                          \
        if (worth) {                                              \
            _Pragma("omp parallel for schedule(static)") __VA_ARGS__ \
        } else {                                                  \
            __VA_ARGS__                                           \
        }                                                         \
    } while (0)

// Let the loops below use so many threads; 1 if they can use more than one, else 0.
int choreo_threads(long threads) {
#ifdef _OPENMP
    extern void omp_set_num_threads(int);
    omp_set_num_threads((int)threads);
    return 1;
#else
    (void)threads;
    return 0;
#endif
}

// ---- Loops -------------------------------------------------------------------------------------

enum { MOST = 16 };  // arguments of a kernel

_Static_assert(sizeof(long) == sizeof(void *), "pointers travel as longs");

typedef void Kernel(long, long, long, long, long, long, long, long, long, long, long, long, long,
                    long, long, long);

// Calls `calls` kernels, `times` over. Their arguments (calls, MOST), whole numbers and pointers
// alike, go on by so much (calls, MOST) each time. Kernels take what they need of the sixteen and
// leave the rest alone, as the calling conventions of x86-64 and Arm let them.
void choreo_repeat(Kernel *const *kernels, long *restrict arguments, const long *restrict ways,
                   long calls, long times) {
    for (long t = 0; t < times; t++) {
        for (long i = 0; i < calls; i++) {
            const long *a = arguments + i * MOST;
            kernels[i](a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11],
                       a[12], a[13], a[14], a[15]);
        }
        for (long j = 0; j < calls * MOST; j++) arguments[j] += ways[j];
    }
}

// ---- Products ----------------------------------------------------------------------------------

typedef void Multiply(const char *, const char *, const long *, const long *, const long *,
                      const float *, const float *, const long *, const float *, const long *,
                      const float *, float *, const long *);

// out (rows, columns) = a (rows, inner) b (inner, columns), plus c where there is one: a row for all
// (c_row of 0) or one for each. `multiply` is a BLAS's sgemm, which thinks in columns; it reads
// whole numbers of 32 or 64 bits from the same place. Factors have lines of so many numbers, which
// are columns where they are `turned`.
void choreo_multiply(Multiply *multiply, const float *a, long a_line, long a_turned, const float *b,
                     long b_line, long b_turned, const float *c, long c_row, float *out, long rows,
                     long columns, long inner) {
    const float one = 1.0f, add = c ? 1.0f : 0.0f;
    if (c && c != out)
        for (long i = 0; i < rows; i++)
            memcpy(out + i * columns, c + i * c_row, columns * sizeof(float));
    if (rows && columns)
        multiply(b_turned ? "T" : "N", a_turned ? "T" : "N", &columns, &rows, &inner, &one, b,
                 &b_line, a, &a_line, &add, out, &columns);
}

// ---- Layers ------------------------------------------------------------------------------------

// x = elu(x) for n numbers.
void choreo_elu(float *restrict x, long n) {
    ON_THREADS(n > WORTH_A_THREAD,
        for (long i = 0; i < n; i++) x[i] = elu(x[i]););
}

// grad *= elu'(x), told by y = elu(x), for n numbers.
void choreo_elu_backward(Input y, float *restrict grad, long n) {
    ON_THREADS(n > WORTH_A_THREAD,
        for (long i = 0; i < n; i++) grad[i] *= y[i] > 0.0f ? 1.0f : y[i] + 1.0f;);
}

// out += x for n numbers.
void choreo_add(Input x, float *restrict out, long n) {
    ON_THREADS(n > WORTH_A_THREAD,
        for (long i = 0; i < n; i++) out[i] += x[i];);
}

// One row: y = elu(weight (x - m) s + bias).
static inline void norm_elu_row(Input x, Input weight, Input bias, long units, float m, float s,
                                Output y) {
    for (long j = 0; j < units; j++) y[j] = elu((x[j] - m) * s * weight[j] + bias[j]);
}

// Mean of a row and 1 / its deviation, as LayerNorm takes them.
static inline void statistics_of_row(Input x, long units, float *mean, float *rstd) {
    float sum = 0.0f, square = 0.0f;
    for (long j = 0; j < units; j++) sum += x[j];
    float m = sum / units;
    for (long j = 0; j < units; j++) square += (x[j] - m) * (x[j] - m);
    // A variance beyond all numbers is as wrong as one that is none: not hidden by a division.
    *mean = m, *rstd = square < INFINITY ? 1.0f / sqrtf(square / units + 1e-5f) : NAN;
}

// LayerNorm, then elu, of rows (rows, units). `mean` and `rstd` (rows) are kept for the way back.
void choreo_norm_elu(Input x, Input weight, Input bias, long rows, long units, Output mean,
                     Output rstd, Output y) {
    ON_THREADS(rows * units > WORTH_A_THREAD,
        for (long i = 0; i < rows; i++) {
            statistics_of_row(x + i * units, units, mean + i, rstd + i);
            norm_elu_row(x + i * units, weight, bias, units, mean[i], rstd[i], y + i * units);
        });
}

static inline void elu_row_backward(Input y, float *restrict grad, long units) {
    for (long j = 0; j < units; j++) grad[j] *= y[j] > 0.0f ? 1.0f : y[j] + 1.0f;
}

// One row: from d, the gradient of what LayerNorm gave, to that of what it was given.
static inline void norm_row_backward(Input x, Input weight, long size, float m, float s,
                                     float *restrict d) {
    float sum = 0.0f, dot = 0.0f;
    for (long j = 0; j < size; j++) {
        d[j] *= weight[j];
        sum += d[j];
        dot += d[j] * ((x[j] - m) * s);
    }
    sum /= size, dot /= size;
    for (long j = 0; j < size; j++) d[j] = s * (d[j] - sum - (x[j] - m) * s * dot);
}

// One row: what LayerNorm's weight and bias add to their gradients.
static inline void add_norm_gradients(Input d, Input x, long size, float m, float s,
                                      float *restrict weight, float *restrict bias) {
    for (long j = 0; j < size; j++) {
        weight[j] += d[j] * ((x[j] - m) * s);
        bias[j] += d[j];
    }
}

// Gradient of choreo_norm_elu: `grad` (rows, units) becomes that of x; those of weight and bias are
// added to what is there.
void choreo_norm_elu_backward(Input y, Input x, Input weight, Input mean, Input rstd, long rows,
                              long units, float *grad, float *grad_weight, float *grad_bias) {
    for (long i = 0; i < rows; i++) {
        const float *row = x + i * units, *out = y + i * units;
        float *d = grad + i * units, m = mean[i], s = rstd[i];
        elu_row_backward(out, d, units);
        add_norm_gradients(d, row, units, m, s, grad_weight, grad_bias);
        norm_row_backward(row, weight, units, m, s, d);
    }
}

enum { COLUMNS = 64 };  // columns of a table that stay in the cache: four vectors of sixteen

typedef float Vector __attribute__((vector_size(64), aligned(4), may_alias));

// y (64) += the rows of `table` that `at` (variables) names, these columns of them; then elu.
static inline void add_block(const int32_t *at, long variables, const float *table, long units,
                             float *restrict y, long activate) {
    Vector *out = (Vector *)y;
    Vector a = out[0], b = out[1], c = out[2], d = out[3];
    for (long v = 0; v < variables; v++) {
        const Vector *row = (const Vector *)(table + at[v] * units);
        a += row[0], b += row[1], c += row[2], d += row[3];
    }
    out[0] = a, out[1] = b, out[2] = c, out[3] = d;
    if (activate)
        for (int j = 0; j < COLUMNS; j++) y[j] = elu(y[j]);
}

// The same for the columns that are left over, fewer than 64.
static inline void add_rest(const int32_t *at, long variables, const float *table, long units,
                            float *restrict y, long width, long activate) {
    for (long v = 0; v < variables; v++)
        for (long j = 0; j < width; j++) y[j] += table[at[v] * units + j];
    if (activate)
        for (long j = 0; j < width; j++) y[j] = elu(y[j]);
}

// out (rows, units) += the rows of `table` (any, units) that `index` (rows, variables) names; then
// elu. It is the product of one-hot variables and a matrix.
void choreo_add_rows(const int32_t *restrict index, long rows, long variables, Input table,
                     long units, float *restrict out, long activate) {
    long blocks = (units + COLUMNS - 1) / COLUMNS;
    ON_THREADS(rows * units > WORTH_A_THREAD,
        for (long place = 0; place < blocks * rows; place++) {
            long i = place % rows, from = place / rows * COLUMNS, width = units - from;
            const int32_t *at = index + i * variables;
            float *y = out + i * units + from;
            if (width >= COLUMNS)
                add_block(at, variables, table + from, units, y, activate);
            else
                add_rest(at, variables, table + from, units, y, width, activate);
        });
}

// The gradient of that table: sums (any, units) get the rows of `grad` (rows, units) added.
void choreo_sum_rows(const int32_t *restrict index, long rows, long variables, Input grad,
                     long units, float *restrict sums) {
    long blocks = (units + COLUMNS - 1) / COLUMNS;
    ON_THREADS(rows * units > WORTH_A_THREAD,
        for (long block = 0; block < blocks; block++) {
            long from = block * COLUMNS;
            long width = units - from < COLUMNS ? units - from : COLUMNS;
            for (long i = 0; i < rows; i++) {
                const float *restrict g = grad + i * units + from;
                for (long v = 0; v < variables; v++) {
                    float *restrict row = sums + index[i * variables + v] * units + from;
                    if (width == COLUMNS)
                        for (int j = 0; j < COLUMNS; j++) row[j] += g[j];
                    else
                        for (long j = 0; j < width; j++) row[j] += g[j];
                }
            }
        });
}

// ---- Actions -----------------------------------------------------------------------------------

// Actions (rows, size) that standard normal noise makes of raw means and deviations (rows, 2 size).
void choreo_action(Input raw, Input noise, long rows, long size, const float *least, Output action) {
    for (long i = 0; i < rows; i++) {
        for (long j = 0; j < size; j++) {
            float mean = tangent(raw[i * 2 * size + j]);
            float std = 2.0f * sigmoid(0.5f * raw[i * 2 * size + size + j]) + *least;
            float x = mean + std * noise[i * size + j];
            float most = 1.0f - 1e-6f;
            x = x > most ? most : x;
            action[i * size + j] = x < -most ? -most : x;
        }
    }
}

// Gradient of that with respect to raw, (rows, 2 size); clamping passes gradients on.
void choreo_action_backward(Input grad, Input raw, Input noise, long rows, long size, Output out) {
    for (long i = 0; i < rows; i++) {
        for (long j = 0; j < size; j++) {
            float mean = tangent(raw[i * 2 * size + j]);
            float part = sigmoid(0.5f * raw[i * 2 * size + size + j]), g = grad[i * size + j];
            out[i * 2 * size + j] = g * (1.0f - mean * mean);
            out[i * 2 * size + size + j] = g * noise[i * size + j] * part * (1.0f - part);
        }
    }
}

// ---- Nearest neighbours ------------------------------------------------------------------------

// A heap of the k smallest values seen, the largest of them on top.
static void replace_top(float *heap, long k, float value) {
    long at = 0;
    for (;;) {
        long child = 2 * at + 1;
        if (child >= k) break;
        if (child + 1 < k && heap[child + 1] > heap[child]) child++;
        if (heap[child] <= value) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = value;
}

enum { CHUNK = 16 };  // numbers looked at together: nearly all of them are too large

// Shows every row of a tile of squared distances (rows, cols) to the heap of that row. `top` holds
// the tops of the heaps: only what lies below one is looked at twice.
static void show_rows(const float *tile, long rows, long cols, long k, float *heaps, float *top) {
    ON_THREADS(rows * cols > WORTH_A_THREAD,
        for (long i = 0; i < rows; i++) {
            float *heap = heaps + i * k, limit = top[i];
            for (long from = 0; from < cols; from += CHUNK) {
                const float *line = tile + i * cols + from;
                long width = cols - from < CHUNK ? cols - from : CHUNK;
                int found = 0;
                for (long j = 0; j < width; j++) found |= line[j] < limit;
                if (!found) continue;
                for (long j = 0; j < width; j++) {
                    if (!(line[j] < limit)) continue;
                    replace_top(heap, k, line[j]);
                    limit = heap[0];
                }
            }
            top[i] = limit;
        });
}

// The same for the columns.
static void show_columns(const float *tile, long rows, long cols, long k, float *heaps,
                         float *top) {
    ON_THREADS(rows * cols > WORTH_A_THREAD,
        for (long from = 0; from < cols; from += CHUNK) {
            long width = cols - from < CHUNK ? cols - from : CHUNK;
            float *restrict limit = top + from;
            for (long i = 0; i < rows; i++) {
                const float *restrict line = tile + i * cols + from;
                int found = 0;
                for (long j = 0; j < width; j++) found |= line[j] < limit[j];
                if (!found) continue;
                for (long j = 0; j < width; j++) {
                    if (!(line[j] < limit[j])) continue;
                    replace_top(heaps + (from + j) * k, k, line[j]);
                    limit[j] = heaps[(from + j) * k];
                }
            }
        });
}

// Shows a tile to the particles of its rows and, where `columns`, to those of its columns, which
// are others.
void choreo_show_tile(const float *tile, long rows, long cols, long k, float *row_heaps,
                      float *row_top, float *col_heaps, float *col_top, long columns) {
    show_rows(tile, rows, cols, k, row_heaps, row_top);
    if (columns) show_columns(tile, rows, cols, k, col_heaps, col_top);
}

// ---- Samples of categorical variables ----------------------------------------------------------

// Probabilities of (rows, classes) logits and what one uniform number per row picks: one-hot
// samples, or, where `sample` is absent, the places of their ones among `variables` rows.
void choreo_sample(Input logit, Input uniform, long rows, long classes, long variables,
                   Output probs, float *sample, int32_t *places) {
    ON_THREADS(rows * classes > WORTH_A_THREAD,
        for (long i = 0; i < rows; i++) {
            Input x = logit + i * classes;
            Output p = probs + i * classes;
            float top = x[0], total = 0.0f, below = 0.0f;
            for (long j = 1; j < classes; j++) top = x[j] > top ? x[j] : top;
            for (long j = 0; j < classes; j++) p[j] = exponential(x[j] - top);
            for (long j = 0; j < classes; j++) total += p[j];
            float scale = 1.0f / total, limit = uniform[i] * total;
            long index = 0;
            for (long j = 0; j + 1 < classes; j++) {
                below += p[j];
                index += below <= limit;
            }
            for (long j = 0; j < classes; j++) p[j] *= scale;
            if (!sample) {
                places[i] = (int32_t)(i % variables * classes + index);
                continue;
            }
            float *restrict s = sample + i * classes;
            float zero = total == total ? 0.0f : total;  // NaN goes on, so that it is found
            for (long j = 0; j < classes; j++) s[j] = zero;
            s[index] = 1.0f + zero;
        });
}

// Gradient of softmax: p * (g - sum(g * p)).
void choreo_softmax_backward(Input grad, Input probs, long rows, long classes,
                             Output out) {
    ON_THREADS(rows * classes > WORTH_A_THREAD,
        for (long i = 0; i < rows; i++) {
            Input g = grad + i * classes, p = probs + i * classes;
            float mean = 0.0f;
            for (long j = 0; j < classes; j++) mean += g[j] * p[j];
            for (long j = 0; j < classes; j++) out[i * classes + j] = p[j] * (g[j] - mean);
        });
}

// Divergence KL(p, q) of categorical variables with logits p and q (rows, classes), (rows), and its
// gradients with respect to both.
void choreo_kl(Input p_logit, Input q_logit, long rows, long classes, Output kl, Output to_p,
               Output to_q) {
    ON_THREADS(rows * classes > WORTH_A_THREAD,
        for (long i = 0; i < rows; i++) {
            const float *a = p_logit + i * classes, *b = q_logit + i * classes;
            float *p = to_p + i * classes, *q = to_q + i * classes;
            float top_a = a[0], top_b = b[0], sum_a = 0.0f, sum_b = 0.0f, value = 0.0f;
            for (long j = 1; j < classes; j++) top_a = a[j] > top_a ? a[j] : top_a;
            for (long j = 1; j < classes; j++) top_b = b[j] > top_b ? b[j] : top_b;
            for (long j = 0; j < classes; j++) sum_a += p[j] = exponential(a[j] - top_a);
            for (long j = 0; j < classes; j++) sum_b += q[j] = exponential(b[j] - top_b);
            float shift = logf(sum_b / sum_a) + top_b - top_a;
            for (long j = 0; j < classes; j++) value += p[j] * (a[j] - b[j] + shift);
            value /= sum_a;
            for (long j = 0; j < classes; j++) {
                float probability = p[j] / sum_a;
                q[j] = q[j] / sum_b - probability;
                p[j] = probability * (a[j] - b[j] + shift - value);
            }
            kl[i] = value;
        });
}

// ---- The gates of the recurrent cell -----------------------------------------------------------

// One row: LayerNorm of the three gates x (3 size), then the next h (size).
static inline void gates_row(Input x, Input h, Input weight, Input bias, long size, float m,
                             float s, Output next) {
    Input wr = weight, wc = weight + size, wu = weight + 2 * size;
    Input br = bias, bc = bias + size, bu = bias + 2 * size;
    for (long j = 0; j < size; j++) {
        float reset = sigmoid((x[j] - m) * s * wr[j] + br[j]);
        float candidate = tangent(reset * ((x[size + j] - m) * s * wc[j] + bc[j]));
        float update = sigmoid((x[2 * size + j] - m) * s * wu[j] + bu[j] - 1.0f);
        next[j] = h[j] + update * (candidate - h[j]);
    }
}

// Next h (rows, size) from gates (rows, 3 size). `mean` and `rstd` (rows) are kept for the way back.
void choreo_gates(Input gates, Input weight, Input bias, Input deter,
                  long rows, long size, Output mean, Output rstd, Output next) {
    ON_THREADS(rows * size > WORTH_A_THREAD / 8,
        for (long i = 0; i < rows; i++) {
            const float *x = gates + i * 3 * size, *h = deter + i * size;
            statistics_of_row(x, 3 * size, mean + i, rstd + i);
            gates_row(x, h, weight, bias, size, mean[i], rstd[i], next + i * size);
        });
}

// One row: gradient of the normalised gates d (3 size) and of h from that of the next h.
static inline void gates_row_backward(Input g, Input x, Input h, Input weight, Input bias, long size,
                                      float m, float s, Output dr, Output dc, Output du, Output dh) {
    Input wr = weight, wc = weight + size, wu = weight + 2 * size;
    Input br = bias, bc = bias + size, bu = bias + 2 * size;
    for (long j = 0; j < size; j++) {
        float inner = (x[size + j] - m) * s * wc[j] + bc[j];
        float reset = sigmoid((x[j] - m) * s * wr[j] + br[j]);
        float candidate = tangent(reset * inner);
        float update = sigmoid((x[2 * size + j] - m) * s * wu[j] + bu[j] - 1.0f);
        float outer = g[j] * update * (1.0f - candidate * candidate);
        dh[j] = g[j] * (1.0f - update);
        dr[j] = outer * inner * reset * (1.0f - reset);
        dc[j] = outer * reset;
        du[j] = g[j] * (candidate - h[j]) * update * (1.0f - update);
    }
}

// Gradients of choreo_gates; those of weight and bias, where wanted, are added to what is there.
void choreo_gates_backward(Input grad, Input gates, Input weight, Input bias, Input deter,
                           Input mean, Input rstd, long rows, long size, Output grad_gates,
                           Output grad_deter, float *grad_weight, float *grad_bias) {
    ON_THREADS(!grad_weight && rows * size > WORTH_A_THREAD / 8,
        for (long i = 0; i < rows; i++) {
            const float *x = gates + i * 3 * size;
            float *d = grad_gates + i * 3 * size, m = mean[i], s = rstd[i];
            gates_row_backward(grad + i * size, x, deter + i * size, weight, bias, size, m, s, d,
                               d + size, d + 2 * size, grad_deter + i * size);
            if (grad_weight) add_norm_gradients(d, x, 3 * size, m, s, grad_weight, grad_bias);
            norm_row_backward(x, weight, 3 * size, m, s, d);
        });
}

// ---- Where episodes begin ----------------------------------------------------------------------

// h (rows, size) and places (rows, variables), but zeros and `none` where a flag (rows) is 0.
void choreo_keep(Input flags, Input deter, const int32_t *restrict places, long rows, long size,
                 long variables, long none, Output deter_out, int32_t *restrict places_out) {
    for (long i = 0; i < rows; i++) {
        for (long j = 0; j < size; j++) deter_out[i * size + j] = flags[i] * deter[i * size + j];
        for (long v = 0; v < variables; v++) {
            int32_t place = places[i * variables + v];
            places_out[i * variables + v] = flags[i] == 0.0f ? (int32_t)none : place;
        }
    }
}

// out = x + flags * kept, of rows (rows, size) and flags (rows).
void choreo_add_kept(Input x, Input flags, Input kept, long rows, long size, Output out) {
    ON_THREADS(rows * size > WORTH_A_THREAD,
        for (long i = 0; i < rows; i++)
            for (long j = 0; j < size; j++)
                out[i * size + j] = x[i * size + j] + flags[i] * kept[i * size + j];);
}

// ---- Products with few rows --------------------------------------------------------------------

// One output of rows x (rows, ins): their products with one row of the weight, a look at which four
// of them share.
static inline void one_output(Input x, long rows, long ins, Input weight, float bias, long outs,
                              Output y) {
    long i = 0;
    for (; i + 4 <= rows; i += 4) {
        Input a = x + i * ins, b = a + ins, c = b + ins, d = c + ins;
        float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        for (long j = 0; j < ins; j++) {
            sums[0] += a[j] * weight[j], sums[1] += b[j] * weight[j];
            sums[2] += c[j] * weight[j], sums[3] += d[j] * weight[j];
        }
        for (long k = 0; k < 4; k++) y[(i + k) * outs] = sums[k] + bias;
    }
    for (; i < rows; i++) {
        float sum = 0.0f;
        for (long j = 0; j < ins; j++) sum += x[i * ins + j] * weight[j];
        y[i * outs] = sum + bias;
    }
}

// Four outputs of four rows x (4, ins), where these are too long to stay in the nearest cache.
static inline void four_outputs(Input x, long ins, Input weight, Input bias, long outs, Output y) {
    Vector sums[4][4] = {0};
    long whole = ins / 16 * 16;
    for (long j = 0; j < whole; j += 16)
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < 4; k++)
                sums[i][k] += *(const Vector *)(x + i * ins + j) *
                              *(const Vector *)(weight + k * ins + j);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 4; k++) {
            float sum = bias[k];
            for (int j = 0; j < 16; j++) sum += sums[i][k][j];
            for (long j = whole; j < ins; j++) sum += x[i * ins + j] * weight[k * ins + j];
            y[i * outs + k] = sum;
        }
}

enum { LONG_ROW = 2048 };  // numbers of which four rows fill that cache

// y (rows, outs) = weight (outs, ins) x + bias for few rows x (rows, ins). What takes time is to
// read the weight, and memory gives it fastest when it is read from front to back.
void choreo_layer(Input x, long rows, long ins, Input weight, Input bias, long outs, Output y) {
    long in_fours = ins > LONG_ROW && outs % 4 == 0 ? rows / 4 * 4 : 0;
    ON_THREADS(rows * ins * outs > WORTH_A_THREAD,
        for (long k = 0; k < outs; k += in_fours ? 4 : 1) {
            for (long i = 0; i < in_fours; i += 4)
                four_outputs(x + i * ins, ins, weight + k * ins, bias + k, outs, y + i * outs + k);
            for (long l = k; l < k + (in_fours ? 4 : 1); l++)
                one_output(x + in_fours * ins, rows - in_fours, ins, weight + l * ins, bias[l],
                           outs, y + in_fours * outs + l);
        });
}

// The same for rows x that are mostly zeros, from a table (ins, outs) that is the weight transposed:
// of it only the rows are read that a number of x belongs to.
void choreo_sparse_layer(Input x, long rows, long ins, Input table, Input bias, long outs,
                         Output y) {
    for (long i = 0; i < rows; i++) {
        float *restrict out = y + i * outs;
        memcpy(out, bias, outs * sizeof(float));
        for (long j = 0; j < ins; j++) {
            float number = x[i * ins + j];
            if (number == 0.0f) continue;
            for (long k = 0; k < outs; k++) out[k] += number * table[j * outs + k];
        }
    }
}

// `layers` times [linear, LayerNorm if `norm`, elu] of few rows x (rows, ins). `parameters` are the
// weight and bias of every linear map, each pair followed by that of its LayerNorm. The result is y
// (rows, units); `linear` (rows, units) is room for what lies between.
void choreo_mlp(const float *x, long rows, long ins, const float *const *parameters, long layers,
                long norm, long units, float *linear, float *y) {
    for (long layer = 0; layer < layers; layer++, parameters += norm ? 4 : 2) {
        choreo_layer(x, rows, ins, parameters[0], parameters[1], units, linear);
        for (long i = 0; i < rows * units; i += units) {
            float mean, rstd;
            if (norm) {
                statistics_of_row(linear + i, units, &mean, &rstd);
                norm_elu_row(linear + i, parameters[2], parameters[3], units, mean, rstd, y + i);
            } else {
                for (long j = i; j < i + units; j++) y[j] = elu(linear[j]);
            }
        }
        x = y, ins = units;
    }
}
