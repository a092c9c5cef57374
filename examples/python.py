"""A study from Python: trained, compared, its best model asked and exported."""

import lstm_variants as lv

grid = {
  'optimizer.learning_rate': [1e-3, 1e-2],
  'model.hidden_features': [8, 16],
  'model.variant': ['vanilla', 'peephole', 'gru'],
  'seed': range(3),
}
study = lv.Study({'task.name': 'adding', 'task.length': 20}, grid)
results = study.train('runs/python')
table = results.compare().to_pandas().sort_values('loss')
print(table[['label', 'solved', 'loss']])
model = results.load('best')
print(model.predict([[0.375, t in (4, 14)] for t in range(20)])[-1], '0.75?')
model.export_onnx('best.onnx')
