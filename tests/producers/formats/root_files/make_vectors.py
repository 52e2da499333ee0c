"""Write vectors.root with ROOT itself (6.40): python make_vectors.py.

uproot, which writes the other files of the tests, cannot write vectors of objects.
"""

import ROOT

ROOT.gInterpreter.Declare(
    r"""
#include <vector>
#include <Math/Point3D.h>
#include <Math/Vector3D.h>
#include <ROOT/RNTupleModel.hxx>
#include <ROOT/RNTupleWriter.hxx>
#include <TClonesArray.h>
#include <TFile.h>
#include <TTree.h>
#include <TVector3.h>

struct Points {
  std::vector<ROOT::Math::XYZVectorF> xyzf;
  std::vector<ROOT::Math::XYZVector> xyz;
  std::vector<ROOT::Math::XYZPointF> pointf;
  std::vector<TVector3> tvector3;
  TClonesArray clones{"TVector3"};

  void fill(int event) {
    xyzf.clear(); xyz.clear(); pointf.clear(); tvector3.clear(); clones.Clear();
    for (int i = 0; i < 2 * event; ++i) {  // the first event has none
      const float x = 30 + 40 * i + event, y = 2 * i + event, z = 5 * i - event;
      xyzf.emplace_back(x, y, z); xyz.emplace_back(x, y, z);
      pointf.emplace_back(x, y, z); tvector3.emplace_back(x, y, z);
      new (clones[i]) TVector3(x, y, z);
    }
  }
};

void write_tree(const char *name, int split) {
  Points points;
  TTree tree(name, "");
  tree.Branch("xyzf", &points.xyzf, 4000, split);
  tree.Branch("xyz", &points.xyz, 4000, split);
  tree.Branch("pointf", &points.pointf, 4000, split);
  tree.Branch("tvector3", &points.tvector3, 4000, split);
  if (split) tree.Branch("clones", &points.clones, 4000, split);
  for (int event = 0; event < 3; ++event) { points.fill(event); tree.Fill(); }
  tree.Write();
}

void write_header() {
  long long number = 0;
  TTree tree("header", "");
  tree.Branch("eventNumber", &number);
  for (int event = 0; event < 3; ++event) { number = 70 + event; tree.Fill(); }
  tree.Write();
}

void write_ntuple(TFile &file) {
  Points points;
  auto model = ROOT::RNTupleModel::Create();
  auto xyzf = model->MakeField<std::vector<ROOT::Math::XYZVectorF>>("xyzf");
  auto writer = ROOT::RNTupleWriter::Append(std::move(model), "ntuple", file);
  for (int event = 0; event < 3; ++event) {
    points.fill(event);
    *xyzf = points.xyzf;
    writer->Fill();
  }
}

void write() {
  TFile file("vectors.root", "recreate", "", 0);  // not compressed
  write_tree("split", 99);
  write_tree("whole", 0);
  write_header();
  write_ntuple(file);
}
"""
)
ROOT.write()
