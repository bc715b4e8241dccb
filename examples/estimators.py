"""Use Forward-Forward estimators with scikit-learn: probabilities, rejection, a grid search, features in a pipeline.

python examples/estimators.py [EPOCHS]
"""

import sys

import numpy as np
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline

from twofold import ForwardForwardClassifier, ForwardForwardFeatures

if __name__ == "__main__":
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else "auto"
    wine = load_wine()
    labels = wine.target_names[wine.target]  # strings
    table, test_table, table_labels, test_labels = train_test_split(wine.data, labels, stratify=labels, random_state=0)

    # No scaler and no tuning are needed.
    classifier = ForwardForwardClassifier(epochs=epochs, reject=0.02, random_state=0).fit(table, table_labels)
    print("accuracy on the test set", classifier.score(test_table, test_labels))
    print("probabilities of", classifier.classes_, classifier.predict_proba(test_table[:1]).round(2))

    # Cases unlike the training data are rejected, such as cases with columns of different wines.
    shuffled = np.random.default_rng(0).permuted(test_table, axis=0)
    for name, cases in (("test set", test_table), ("shuffled columns", shuffled)):
        print(name, "rejected", (classifier.predict(cases) == "rejected").mean())

    # Search for the number of layers and units.
    search = GridSearchCV(classifier, {"widths": [(50,), (200,), (100, 100)]}, cv=3).fit(table, table_labels)
    print("best widths", search.best_params_, "accuracy on the test set", search.score(test_table, test_labels))

    # Learn features without labels, and train a classifier on them.
    features = ForwardForwardFeatures((50,), epochs=epochs, random_state=0)
    pipeline = make_pipeline(features, ForwardForwardClassifier(epochs=epochs, random_state=0))
    print("accuracy with features", pipeline.fit(table, table_labels).score(test_table, test_labels))
